"""Small settings of every built-in detector."""

from __future__ import annotations

LTTD = {"image_size": 64, "frames": 3, "width": 32, "heads": 2, "depth": 1, "channels": 4}


CADDM = {"backbone": "resnet34", "image_size": 64, "adm_width": 16}


SMALL = {
    "caddm": CADDM,
    "caddm-mfs": {**CADDM, "mode": "mfs"},
    "catnet": {"encoder": "hrnet_w18_small", "image_size": 64},
    "classifier": {"encoder": "test_byobnet", "image_size": 64},
    "facexray": {"encoder": "test_byobnet", "image_size": 64},
    "ffd": {"image_size": 64},
    "focus": {"encoder": "vit_tiny_patch16_224", "image_size": 64},
    "gffd": {"image_size": 64},
    "hpfcn": {"image_size": 64, "width": 4},
    "lttd": LTTD,
    "lttd-head": {**LTTD, "integrity_head": True, "position_embedding": True},
    "m2tr": {"encoder": "test_efficientnet", "image_size": 64},
    "madd": {"encoder": "tf_efficientnet_b0", "image_size": 64},
    "monfap": {"image_size": 64, "drop_path": 0.0},
    "msccnet": {"encoder": "test_byobnet", "image_size": 64, "width": 64},
    "mvss": {"encoder": "test_resnet", "image_size": 64, "width": 16},
    "multitask": {"image_size": 64},
    "patches": {"image_size": 64},
    "patches-convolutional": {"encoder": "mobilenetv2_100", "image_size": 64, "stage": 3},
    "patches-max": {"encoder": "test_vit", "image_size": 64, "reduction": "max"},
    "patches-mean": {"encoder": "test_vit", "image_size": 64, "reduction": "mean"},
    "patches-transformer": {"encoder": "test_vit", "image_size": 64},
    "pcl": {"encoder": "test_byobnet", "image_size": 64},
    "probe": {"encoder": "test_byobnet", "image_size": 64, "channels": 16},
    "smp": {"architecture": "FPN", "encoder": "test_resnet", "image_size": 64},
    "sladd-head": {"image_size": 64},
    "telltales": {"image_size": 64},
    "uiavit": {"encoder": "vit_tiny_patch16_224", "image_size": 64},
}
