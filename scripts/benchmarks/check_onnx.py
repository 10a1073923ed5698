"""Compare the predictions of every exported detector in ONNX Runtime with those in PyTorch.

Takes three minutes on two CPU cores, with small variants of the detectors, random weights, and a
different batch size than in tracing. Should show only rounding differences.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from focus.detectors import DETECTORS
from focus.generation.exporting import Face, export_network
from plugins.conformance import Subject, plain_config

SMALL: dict[str, dict[str, object]] = {
    "facexray": {"encoder": "test_byobnet", "image_size": 64},
    "ffd": {"image_size": 64},
    "focus": {"encoder": "resnet10t", "image_size": 64, "stage": 2, "output_stride": 8},
    "classifier": {"encoder": "resnet10t", "image_size": 64},
    "caddm": {"backbone": "resnet34", "image_size": 112, "adm_width": 32},
    "hpfcn": {"image_size": 64, "width": 4},
    "catnet": {"encoder": "hrnet_w18_small", "image_size": 64},
    "lttd": {"image_size": 48, "frames": 4, "width": 32, "heads": 2, "depth": 1, "channels": 8},
    "m2tr": {"encoder": "test_efficientnet", "image_size": 64},
    "monfap": {"image_size": 64},
    "msccnet": {"image_size": 64, "width": 64, "encoder": "resnet10t"},
    "mvss": {"encoder": "test_resnet", "image_size": 64, "width": 16},
    "multitask": {"image_size": 64},
    "patches": {"image_size": 64},
    "pcl": {"image_size": 64, "encoder": "resnet10t"},
    "probe": {"encoder": "resnet10t", "image_size": 64, "channels": 8},
    "smp": {"image_size": 64, "encoder": "resnet10t"},
    "sladd-head": {"image_size": 64},
    "telltales": {"image_size": 64},
    "madd": {"image_size": 64},
    "uiavit": {"encoder": "vit_tiny_patch16_224", "image_size": 64},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", nargs="*", default=[], help="only these detectors")
    print("| detector | scores apart | maps apart |\n|---|---|---|")
    for name in parser.parse_args().names or DETECTORS.names():
        print(f"| {name} | {' | '.join(compare(name))} |", flush=True)


def compare(name: str) -> list[str]:
    """Return the largest differences of scores and of maps over three noise images."""
    detector = DETECTORS.get(name)
    network = Subject(detector, plain_config(detector, SMALL.get(name, {}))).build().eval()
    spec = network.input_spec
    shape = (3, 3, *((spec.frames,) if spec.frames > 1 else ()), spec.image_size, spec.image_size)
    images = torch.randint(0, 256, shape, dtype=torch.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "detector.onnx"
        export_network(network, path, {"detector": name})
        found = onnxruntime.InferenceSession(path).run(None, {"images": images.numpy()})
    with torch.no_grad():
        expected = [values.numpy() for values in Face(network)(images)]
    apart = [f"{np.abs(a - b).max():.1e}" for a, b in zip(expected, found, strict=True)]
    return [*apart, "none drawn"][:2]


if __name__ == "__main__":
    main()
