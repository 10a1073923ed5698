"""Networks that can be explained, and errors for those that cannot."""

from __future__ import annotations

import pytest
import timm

from focus.detectors import DETECTORS
from focus.errors import InputError
from focus.generators.attention_maps import Attention, Rollout
from focus.generators.cam import GradCam, ScoreCam
from focus.runs import save_weights
from focus.types import InputSpec
from tests.focus.generators.explained_networks import VIT_OPTIONS, Conv, LinearConfig, write_run


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (GradCam, {"layer": "blocks.-1.norm3"}, r"blocks\.-1 has no norm3; near: norm2, norm1$"),
        (
            GradCam,
            {"layer": "blocks.6"},
            r"layer=blocks\.6: blocks has no 6; near: 0, 1, 2, 3, 4, 5$",
        ),
        (GradCam, {"layer": "block.1"}, "the network has no block; near: blocks$"),
        (GradCam, {"layer": "head"}, "not a spatial grid"),
        (GradCam, {"layer": "blocks.3.attn.attn_drop"}, "the network does not run it"),
        (GradCam, {"target": "2"}, "outputs 0 to 1"),
        (GradCam, {"encoder": "vit_tny"}, "no such model"),
        (GradCam, {"encoder": "resnet10t", "image_size": "0"}, r"no fc\.weight, the classifier"),
        (GradCam, {"encoder": "", "image_size": "0"}, "--options encoder=NAME"),
        (GradCam, {"encoder": ""}, "apply to a timm classifier"),
        (GradCam, {"image_size": "224"}, "does not fit"),
        (GradCam, {"normalise": "global"}, "--options map_scale=X"),
        (GradCam, {"layers": "norm"}, "perhaps layer?"),
        (ScoreCam, {"masked": "-1"}, "must not be negative"),
        (Attention, {"layer": "blocks.3.mlp"}, "has no attention weights"),
        (Rollout, {"layer": "blocks.3.mlp"}, "is not a list of blocks"),
    ],
)
def test_mistakes_are_one_line(vit_file, kind, options, message):
    with pytest.raises(InputError, match=message) as caught:
        kind.load(vit_file, {**VIT_OPTIONS, **options})
    assert "\n" not in str(caught.value)


def test_weights_are_asked_for():
    with pytest.raises(InputError, match="--weights is missing"):
        GradCam.load(None, {})


class Clips(Conv):
    input_spec = InputSpec(image_size=16, frames=8)


def test_networks_that_cannot_be_explained(tmp_path):
    with DETECTORS.temporarily("clips", Clips), DETECTORS.temporarily("conv", Conv):
        run = write_run(tmp_path / "run", "clips", Clips(), LinearConfig())
        with pytest.raises(InputError, match="clips of 8 frames"):
            GradCam.load(run, {})
        run = write_run(tmp_path / "conv", "conv", Conv(), LinearConfig())
        with pytest.raises(InputError, match="has no vision transformer"):
            Attention.load(run, {})


def test_attention_needs_a_class_token(tmp_path):
    save_weights(timm.create_model("test_vit_relpos", num_classes=2), tmp_path / "vit.safetensors")
    with pytest.raises(InputError, match="has no class token"):
        Attention.load(tmp_path / "vit.safetensors", {"encoder": "test_vit_relpos"})
