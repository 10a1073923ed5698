"""Where the tokens of a timm model are read; test_encoder.py runs every family."""

import pytest
import torch
from torch import nn

from focus import grids
from focus.backbones import create_backbone
from focus.grids import GridConfig, Reading, create_grid


def build(name):
    return create_grid(GridConfig(name, encoder_weights="none", image_size=64))[1]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 13, 7), Reading("features", "NLC", (3, 4), 7, 1)),
        ((1, 12, 7), Reading("features", "NLC", (3, 4), 7, 0)),
        ((1, 7, 3, 4), Reading("features", "NCHW", (3, 4), 7)),
        ((1, 3, 4, 7), Reading("features", "NHWC", (3, 4), 7)),
        ((1, 7), Reading("intermediates", "NCHW", (3, 4), 5)),
        ((1, 6, 8, 7), Reading("intermediates", "NCHW", (3, 4), 5)),
        ((1, 49, 7), Reading("intermediates", "NCHW", (3, 4), 5)),
    ],
)
def test_an_output_is_read_by_the_grid_of_timms_planes(shape, expected):
    output = torch.rand(shape)
    found = grids._read_features(output, torch.rand(1, 5, 3, 4))
    assert found == expected
    if found.source == "features":
        body = nn.Module()
        body.forward_features = lambda images: output
        tokens = found.read(body, torch.rand(1, 3, 8, 8)).unflatten(1, found.grid)
        planes = found.read_planes(body, torch.rand(1, 3, 8, 8))
        places = {
            "NLC": lambda row, column: output[0, found.prefix + 4 * row + column],
            "NCHW": lambda row, column: output[0, :, row, column],
            "NHWC": lambda row, column: output[0, row, column],
        }
        for row, column in ((0, 0), (0, 3), (2, 1)):
            assert torch.equal(tokens[0, row, column], places[found.layout](row, column))
            assert torch.equal(planes[0, :, row, column], places[found.layout](row, column))


def test_a_missing_output_stride_is_said(capsys):
    grids._note_once.cache_clear()
    assert build("densenet121").grid == (2, 2)
    said = "densenet121: --output-stride 16 is not available; the token grid is 2 x 2"
    assert said in capsys.readouterr().err
    build("resnet10t")
    build("test_vit")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["mobilenetv2_100", "efficientnet_b0", "tf_efficientnet_lite0"])
def test_blocks_behind_the_level_are_dropped(name):
    config = GridConfig(name, encoder_weights="none", image_size=64, stage=3)
    body, reading = create_grid(config)
    whole = create_backbone(
        name, "none", features_only=True, out_indices=(3,), output_stride=config.output_stride
    )
    assert len(body.blocks) == 5 < len(whole.blocks)
    whole.load_state_dict(body.state_dict(), strict=False)
    images = torch.rand(2, 3, 64, 64)
    expected = whole.eval()(images)[-1]
    planes = reading.read_planes(body.eval(), images)
    assert torch.equal(planes, expected)
    planes.sum().backward()
    assert all(parameter.grad is not None for parameter in body.parameters())
