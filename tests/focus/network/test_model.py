"""The network against the paper's sizes, hand-computed values and its own equations."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from focus.backbones import read_tensors
from focus.errors import InputError
from focus.macs import count_macs
from focus.network.carp import RegionProposal
from focus.network.encoder import Encoder, EncoderConfig
from focus.network.maps import finish, modality_map
from focus.network.model import FoCus, FoCusConfig, fuse_parts
from focus.network.swapping import TokenSwap
from focus.normalisation import minmax
from focus.types import Batch

TINY = {"encoder_weights": "none", "image_size": 64}
TINY_VIT = FoCusConfig(encoder="vit_tiny_patch16_224", **TINY)
TINY_CONV = FoCusConfig(encoder="resnet10t", stage=2, output_stride=8, **TINY)


def batch_of(images, labels=(0, 1)):
    return Batch(images, torch.tensor(labels), None, ("a", "b"), torch.arange(len(labels)))


def test_paper_size():
    network = FoCus(FoCusConfig(encoder_weights="none")).eval()
    assert network.grid == (14, 14)
    assert sum(p.numel() for p in network.parameters()) == 45_699_588  # 45.7 M
    macs, _ = count_macs(lambda: network(torch.rand(1, 3, 224, 224)))
    assert macs / 1e9 == pytest.approx(9.6, abs=0.1)


@pytest.mark.parametrize("config", [TINY_VIT, TINY_CONV])
def test_every_learning_parameter_gets_a_gradient(config):
    network = FoCus(config)
    terms = network.loss(batch_of(torch.rand(2, 3, 64, 64)))
    sum(terms.values()).backward()
    missing = [n for n, p in network.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing
    heads = network.swap.scores
    assert all(head[1].weight.grad.abs().sum() > 0 for head in heads)  # straight through


def test_prediction_is_bounded_and_one_hot():
    network = FoCus(TINY_VIT).eval()
    prediction = network.predict(torch.rand(3, 3, 64, 64))
    assert prediction.maps.shape == (3, 1, 4, 4)
    assert prediction.maps.min() >= 0
    assert prediction.maps.max() <= 1
    choice = prediction.parts["choice"]
    assert torch.equal(choice.sum(dim=1), torch.ones(3, 4, 4))
    assert set(choice.unique().tolist()) <= {0.0, 1.0}


def test_a_third_proposal_maps_the_fused_tokens():
    config = dataclasses.replace(TINY_CONV, map_source="fused", normalise="global")
    network = FoCus(config).eval()
    images = torch.rand(2, 3, 64, 64)
    output, prediction = network(images), network.predict(images)
    expected = output.fused.maps[:, 1] * output.fused.probability[:, 1, None, None]
    torch.testing.assert_close(prediction.maps[:, 0], expected.clamp(0, 1))
    before = network.loss(batch_of(images))["localisation"]
    network.proposals[2].conv.bias.data[:32] += 5  # of the real class
    labels = torch.tensor([0, 1])
    change = F.cross_entropy(network(images).fused.logits, labels)
    change = change - F.cross_entropy(output.fused.logits, labels)
    after = network.loss(batch_of(images))["localisation"]
    torch.testing.assert_close(after - before, 0.1 * change)


def test_the_scale_of_global_maps_is_measured():
    """One quantile over all batches, without a floor above it."""
    network = FoCus(dataclasses.replace(TINY_CONV, map_source="fused", normalise="global")).eval()
    network.proposals[2].conv.bias.data.fill_(0.25)
    network.proposals[2].conv.weight.data.zero_()
    batches = [batch_of(torch.rand(2, 3, 64, 64)) for _ in range(2)]
    network.finish(batches)
    assert network.map_scale == pytest.approx(0.125)  # times P(fake)
    network.finish([])
    assert network.map_scale == pytest.approx(0.125)  # times P(fake)


def test_settings_of_the_encoder_are_checked_too():
    for name, value in (("image_size", 16), ("output_stride", 4)):
        with pytest.raises(InputError, match=f"--{name.replace('_', '-')} {value}"):
            FoCusConfig(**{name: value})


def test_attention_has_no_third_proposal():
    with pytest.raises(InputError, match="--map-source fused"):
        FoCus(dataclasses.replace(TINY_VIT, map_source="fused", proposal="attention"))


def test_only_the_last_blocks_learn():
    encoder = Encoder(dataclasses.replace(TINY_VIT, trainable_blocks=2))
    learning = {n.split(".")[1] for n, p in encoder.body.named_parameters() if p.requires_grad}
    assert {
        n for n, p in encoder.body.named_parameters() if p.requires_grad and "blocks" not in n
    } == {
        "norm.weight",
        "norm.bias",
    }
    assert learning == {"10", "11", "weight", "bias"}
    encoder = Encoder(dataclasses.replace(TINY_VIT, trainable_blocks=0))
    learning = {n for n, p in encoder.body.named_parameters() if p.requires_grad}
    assert learning == {"norm.weight", "norm.bias"}
    with pytest.raises(InputError, match="--trainable-blocks 13"):
        Encoder(dataclasses.replace(TINY_VIT, trainable_blocks=13))
    with pytest.raises(InputError, match="no blocks"):
        Encoder(dataclasses.replace(TINY_CONV, trainable_blocks=1))


def test_evaluation_draws_no_noise_and_training_does():
    swap = TokenSwap(8)
    first, second = torch.rand(2, 16, 8), torch.rand(2, 16, 8)
    swap.eval()
    assert torch.equal(swap(first, second)[1], swap(first, second)[1])
    swap.train()
    assert not torch.equal(swap(first, second)[1], swap(first, second)[1])


def test_region_proposal_by_hand():
    proposal = RegionProposal(dim=1, grid=(2, 2), maps_per_class=2, kernel=1)
    with torch.no_grad():
        proposal.conv.weight.copy_(torch.tensor([1.0, 3.0, -1.0, 0.0]).view(4, 1, 1, 1))
        proposal.conv.bias.zero_()
    found = proposal(torch.tensor([[[1.0], [2.0], [3.0], [4.0]]]))
    # class 0: maps x and 3x, maxima 4 and 12; class 1: maps -x and 0, maxima -1 and 0.
    assert found.logits.tolist() == [[8.0, -0.5]]
    assert found.maps[0, 0].tolist() == [[2.0, 4.0], [6.0, 8.0]]
    assert found.maps[0, 1].tolist() == [[-0.5, -1.0], [-1.5, -2.0]]
    assert found.probability.sum().item() == pytest.approx(1)


def test_channel_weighted_reading():
    proposal = RegionProposal(dim=1, grid=(1, 2), maps_per_class=1, kernel=1, weighted=True)
    nn.init.ones_(proposal.conv.weight)
    nn.init.zeros_(proposal.conv.bias)
    found = proposal(torch.tensor([[[1.0], [3.0]]]))
    assert found.maps[0, 1].tolist() == [[2.0, 6.0]]  # each value times the mean, 2


def test_equations_4_5_and_9():
    maps = torch.tensor([[[[0.0, 2.0]], [[4.0, 0.0]]]])  # A[real], A[fake] on a 1 x 2 grid
    p = torch.tensor([[0.25, 0.75]])
    both = modality_map(maps, p, "global", fake_only=False)
    assert both.tolist() == [[[3.0, 0.5]]]
    assert modality_map(maps, p, "global", fake_only=True).tolist() == [[[3.0, 0.0]]]
    assert modality_map(maps, p, "class_minmax", fake_only=True).tolist() == [[[0.75, 0.0]]]
    parts = {
        "first_maps": maps,
        "second_maps": maps.flip(-1),
        "first_probability": p,
        "second_probability": p,
        "choice": torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]]]]),
    }
    assert fuse_parts(parts, "global", "gumbel").tolist() == [[[3.0, 3.0]]]
    raw, scores = torch.tensor([[[3.0, -1.0]]]), torch.tensor([0.5])
    assert finish(raw, scores, "global", 4.0).tolist() == [[[0.75, 0.0]]]
    assert finish(raw, scores, "image_minmax", 4.0).tolist() == [[[1.0, 0.0]]]
    assert finish(raw, scores, "fused_minmax", 4.0).tolist() == [[[0.5, 0.0]]]
    assert minmax(torch.full((1, 2, 2), 7.0)).tolist() == [[[0.0, 0.0], [0.0, 0.0]]]


def test_calm_face_stays_calm():
    maps = torch.rand(1, 2, 4, 4) * 10
    calm = modality_map(maps, torch.tensor([[0.99, 0.01]]), "class_minmax", fake_only=True)
    assert calm.max() <= 0.0101


def test_lambda_weighs_the_loss_it_is_told_to():
    images = torch.rand(2, 3, 64, 64)
    terms = {}
    for weight_on in ("loc", "cls"):
        torch.manual_seed(0)
        network = FoCus(
            FoCusConfig(encoder="vit_tiny_patch16_224", weight_on=weight_on, **TINY)
        ).eval()
        found = network.loss(batch_of(images))
        terms[weight_on] = {name: value.item() for name, value in found.items()}
    assert terms["loc"]["localisation"] == pytest.approx(0.1 * terms["cls"]["localisation"])
    assert terms["cls"]["classification"] == pytest.approx(0.1 * terms["loc"]["classification"])


@pytest.mark.parametrize(
    ("name", "grid", "more"),
    [
        ("vit_small_patch14_dinov2", (8, 8), {"image_size": 112}),
        ("vit_small_patch16_dinov3", (7, 7), {"image_size": 112}),
        ("deit_tiny_distilled_patch16_224", (7, 7), {"image_size": 112}),
        ("mobilenetv2_050", (7, 7), {"image_size": 112}),
        ("mobilenetv2_050", (14, 14), {"image_size": 112, "output_stride": 8}),
    ],
)
def test_any_encoder_yields_a_grid(name, grid, more):
    encoder = Encoder(EncoderConfig(encoder=name, encoder_weights="none", **more)).eval()
    assert encoder.grid == grid
    tokens = encoder(torch.rand(2, 3, 112, 112))
    assert tokens.shape == (2, grid[0] * grid[1], encoder.dim)


def test_positions_are_fixed_and_shared():
    network = FoCus(TINY_VIT)
    first, second = (encoder.body.pos_embed for encoder in network.encoders)
    assert not first.requires_grad
    assert torch.equal(first, second)
    assert not torch.equal(first[0, 1], first[0, 2])


@pytest.mark.parametrize(
    "change",
    [
        {"proposal": "attention"},
        {"swap": "maximum"},
        {"second": "dct"},
        {"second": "srm"},
        {"second": "rgb"},
    ],
)
def test_ablations_learn(change):
    network = FoCus(FoCusConfig(encoder="vit_tiny_patch16_224", **TINY, **change))
    images = torch.rand(2, 3, 64, 64)
    network.calibrate(images)
    terms = network.loss(batch_of(images))
    sum(terms.values()).backward()
    assert all(torch.isfinite(value) for value in terms.values())
    assert network.eval().predict(images).maps.shape == (2, 1, 4, 4)


def test_calibration_standardises_the_second_modality():
    network = FoCus(TINY_VIT)
    images = torch.rand(4, 3, 64, 64)
    network.calibrate(images)
    from focus.modalities import sobel

    values = (sobel(images) - network.second_mean) / network.second_std
    torch.testing.assert_close(values.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(values.std(dim=(0, 2, 3)), torch.ones(3), atol=1e-5, rtol=0)


def test_encoder_weights_come_from_a_file(tmp_path):
    torch.manual_seed(1)
    source = Encoder(EncoderConfig(encoder="vit_tiny_patch16_224", **TINY))
    path = tmp_path / "weights.safetensors"
    save_file({n: v.contiguous() for n, v in source.body.state_dict().items()}, path)
    config = EncoderConfig(encoder="vit_tiny_patch16_224", encoder_weights=str(path), image_size=96)
    loaded = Encoder(
        config
    )  # a larger grid than the file's: positions are interpolated or replaced
    torch.testing.assert_close(
        loaded.body.blocks[0].mlp.fc1.weight, source.body.blocks[0].mlp.fc1.weight
    )
    pth = tmp_path / "weights.pth"
    torch.save({"state_dict": source.body.state_dict()}, pth)
    assert read_tensors(pth).keys() == source.body.state_dict().keys()


def test_hostile_and_foreign_weights_are_refused(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (print, ("executed",))

    path = tmp_path / "hostile.pth"
    torch.save({"a": Hostile()}, path)
    with pytest.raises(InputError, match="tensors-only"):
        read_tensors(path)
    for name in ("config.json", "config.pth", "config.bin"):
        (tmp_path / name).write_text('{"encoder": "resnet10t"}')
        with pytest.raises(InputError, match=f"{name}: not a weights file") as error:
            read_tensors(tmp_path / name)
        assert "weights_only" not in str(error.value)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"x": torch.zeros(1)}, foreign)
    with pytest.raises(InputError, match="0 of"):
        Encoder(EncoderConfig(encoder="resnet10t", encoder_weights=str(foreign), image_size=64))
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\xff" * 64)
    with pytest.raises(InputError, match="cannot read weights"):
        read_tensors(broken)


def test_offline_download_explains_itself():
    with pytest.raises(InputError, match="offline, give a file as encoder weights"):
        Encoder(EncoderConfig(encoder="vit_pe_core_tiny_patch16_384.fb"))


def test_unknown_encoder_names_near_ones():
    with pytest.raises(InputError, match=r"near: .*resnet"):
        Encoder(EncoderConfig(encoder="resnet_huge"))
