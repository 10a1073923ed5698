"""Encoders of every timm family: the grid of tokens, its order, prefix tokens and positions."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from timm.layers.pos_embed_sincos import build_sincos2d_pos_embed

from focus.errors import InputError
from focus.network.encoder import Encoder, EncoderConfig

with (Path(__file__).parents[1] / "timm_families.csv").open() as file:
    FAMILIES = {row["family"]: row for row in csv.DictReader(file)}
CORNERS = ((slice(None, 32), slice(-32, None)), (slice(-32, None), slice(None, 32)))


def build(name, size=64, **more):
    return Encoder(EncoderConfig(name, **{"encoder_weights": "none"} | more, image_size=size))


@torch.no_grad()
def corner_contrast(encoder, size):
    """Return the ratio of the changes by a lit corner: of its tokens over the opposite corner's.

    The logarithm of the ratio of changes, for the top right against the bottom left corner: 0 if
    tokens do not know their place, below 0 if their order is transposed.
    """
    images = torch.zeros(3, 3, size, size)
    for image, (rows, columns) in zip(images[1:], CORNERS, strict=True):
        image[:, rows, columns] = torch.randn(3, 32, 32)
    height, width = encoder.grid
    change = (encoder(images)[1:] - encoder(images[:1])).norm(dim=2).double()
    first, second = change.unflatten(1, (height, width)) + 1e-12
    right = slice(None, (height + 1) // 2), slice(width // 2, None)
    left = slice(height // 2, None), slice(None, (width + 1) // 2)
    ratio = first[right].mean() * second[left].mean() / (first[left].mean() * second[right].mean())
    return ratio.log().item()


def test_every_family_of_timm_is_listed(request):
    if not request.config.getoption("--all-families"):
        pytest.skip("a later timm may have more: runs with --all-families")
    assert set(timm.list_modules()) <= set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_grid_of_a_family(family, request):
    row = FAMILIES[family]
    if not (row["suite"] or request.config.getoption("--all-families")):
        pytest.skip("runs with --all-families")
    if not timm.is_model(row["model"]):
        pytest.skip("a later timm has it")
    torch.manual_seed(0)
    size, side = int(row["image_size"]), int(row["grid"])
    encoder = build(row["model"], size).eval()
    assert encoder.grid == (side, side)
    assert encoder(torch.rand(2, 3, size, size)).shape == (2, side * side, encoder.dim)
    if not row["mixes"]:  # their random weights spread each pixel over all tokens
        assert corner_contrast(encoder, size) > 0.3


@pytest.mark.parametrize(
    "model",
    ["test_vit", "deit_tiny_distilled_patch16_224", "swin_tiny_patch4_window7_224", "nest_tiny"],
)
def test_tokens_are_those_of_timms_planes(model):
    torch.manual_seed(0)
    encoder = build(model, 224).eval()
    images = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        planes = encoder.body.forward_intermediates(
            images, indices=1, norm=True, intermediates_only=True
        )[-1]
        tokens = encoder(images)
        if model == "nest_tiny":  # timm leaves its norm out of the planes
            tokens, planes = F.normalize(tokens, dim=2), F.normalize(planes, dim=1)
    expected = planes.flatten(2).transpose(1, 2)
    correlation = F.cosine_similarity(tokens - tokens.mean(1), expected - expected.mean(1), dim=2)
    assert correlation.min() > 0.99


@pytest.mark.parametrize("model", ["resnet10t", "deit_tiny_patch16_224"])
def test_standardisation_is_that_of_the_weights(model):
    encoder = build(model)
    assert encoder.mean == (0.485, 0.456, 0.406)
    assert encoder.std == (0.229, 0.224, 0.225)


def test_a_size_that_a_model_refuses_is_said_with_its_own():
    message = (
        r"encoder efficientformer_l1: cannot process images of 64 px \(.*\); its default .* 224"
    )
    with pytest.raises(InputError, match=message):
        build("efficientformer_l1", 64)


# Positions


def write_table(folder, model, size, prefix, side):
    """Write weights whose position of a cell is its row and column; return the file."""
    torch.manual_seed(0)
    tensors = timm.create_model(model, img_size=size, num_classes=0).state_dict()
    table = torch.zeros(1, prefix + side * side, tensors["pos_embed"].shape[-1])
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    table[0, prefix:, 0], table[0, prefix:, 1] = rows.flatten(), columns.flatten()
    table[0, :prefix, 2] = 5.0
    tensors["pos_embed"] = table
    path = folder / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    return path


def test_a_pretrained_table_is_interpolated_to_the_grid(tmp_path):
    path = write_table(tmp_path, "test_vit", 256, 1, 16)
    encoder = build("test_vit", 128, encoder_weights=str(path), positions="pretrained")
    assert encoder.grid == (8, 8)
    table = encoder.body.pos_embed
    assert not table.requires_grad
    assert table.shape == (1, 65, 64)
    assert table[0, 0, 2] == 5
    places = table[0, 1:].unflatten(0, (8, 8))
    centres = torch.arange(8) * 2 + 0.5  # of two cells of the finer table
    torch.testing.assert_close(places[3, 1:-1, 1], centres[1:-1], atol=0.05, rtol=0)
    torch.testing.assert_close(places[1:-1, 3, 0], centres[1:-1], atol=0.05, rtol=0)


@pytest.mark.parametrize("model", ["test_vit", "volo_d1_224"])
def test_sine_cosine_replaces_the_table_and_is_zero_for_prefix_tokens(model):
    encoder = build(model, 96)
    table = encoder.body.pos_embed
    assert not table.requires_grad
    code = build_sincos2d_pos_embed((6, 6), dim=table.shape[-1])
    cells = table.reshape(-1, table.shape[-1])
    assert torch.equal(cells[-36:], code)
    assert not cells[:-36].any()


def test_the_table_of_a_finer_level_stays():
    encoder = build("hiera_tiny_224", 64)
    assert encoder.grid == (2, 2)
    assert encoder.body.pos_embed.requires_grad
    assert encoder.body.pos_embed.shape[1] == 16 * 16


# The class token's attention


@pytest.mark.parametrize(
    "model", ["test_vit", "eva02_tiny_patch14_224", "vit_small_patch16_dinov3"]
)
def test_attention_is_what_the_blocks_use(model):
    torch.manual_seed(0)
    encoder = build(model, 112).eval()
    images = torch.rand(2, 3, 112, 112)
    tokens, class_token, weights = encoder.forward_attention(images)
    torch.testing.assert_close(tokens, encoder(images))
    torch.testing.assert_close(class_token, encoder.body.forward_features(images)[:, 0])
    assert weights.shape == (2, encoder.grid[0] * encoder.grid[1])
    attention = encoder.body.blocks[-1].attn
    states, whole = [], []
    hooks = [
        attention.register_forward_hook(lambda *seen: states.append(seen[2])),
        attention.attn_drop.register_forward_pre_hook(lambda _, given: whole.append(given[0])),
    ]
    attention.fused_attn = False
    encoder(images)
    attention.fused_attn = True
    encoder(images)
    for hook in hooks:
        hook.remove()
    torch.testing.assert_close(weights, whole[0].mean(dim=1)[:, 0, encoder.prefix :])
    torch.testing.assert_close(states[0], states[1])


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("test_vit", True),
        ("deit_tiny_distilled_patch16_224", True),
        ("test_vit_relpos", False),
        ("xcit_nano_12_p16_224", False),  # attention between channels
        ("cait_xxs24_224", False),  # its class token joins after the blocks
        ("resnet10t", False),
    ],
)
def test_who_has_a_class_token(model, known):
    assert build(model, 64).has_class_token is known
