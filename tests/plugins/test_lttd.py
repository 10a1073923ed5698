import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch._subclasses import FakeTensorMode

from focus.data.faces import Draw, FaceDataset, TruthMaps
from focus.data.index import Face, FaceIndex
from focus.data.loading import collate
from focus.data.transforms import Augmentation
from focus.errors import InputError
from focus.macs import count_macs
from focus.optim import learning_rate
from focus.types import Batch
from plugins.lttd import Lttd, LttdConfig
from plugins.lttd.cross_patch import inconsistency_loss, similarity
from plugins.lttd.local_sequence import LowLevelEnhancement, group_sequences
from plugins.lttd.targets import pairwise_agreement, sequence_integrity
from plugins.pcl.consistency import inconsistency_with_border
from plugins.targets import area_average

SMALL = {"image_size": 64, "frames": 3, "width": 32, "heads": 2, "depth": 1, "channels": 4}


@pytest.fixture
def batch():
    """Return eight still clips of coarse noise, every second with a flickering patch."""
    draw = torch.Generator().manual_seed(0)
    coarse = torch.randn(8, 3, 8, 8, generator=draw)
    stills = F.interpolate(coarse, (64, 64), mode="bilinear")[:, :, None]
    images, labels = stills.repeat(1, 1, 3, 1, 1), torch.arange(8) % 2
    maps = torch.zeros(8, 1, 3, 64, 64)
    for clip in range(1, 8, 2):
        top, left = 16 * (1 + clip // 2 % 2), 16 * (1 + clip // 4)
        maps[clip, :, :, top : top + 16, left : left + 16] = 1
    images += 2 * torch.randn(images.shape, generator=draw) * maps
    return Batch(images, labels, maps, tuple("abcdefgh"), torch.arange(8))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Lttd(LttdConfig(**SMALL))


def count(*modules):
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def test_size_and_shapes_of_the_description():
    shapes = []
    with FakeTensorMode():  # shapes alone, nothing computed
        network = Lttd().eval()
        lst, aggregation = network.sequences, network.aggregation
        parts = lst.stem.features, lst.stem, lst.enhancement, *lst.stages, lst, aggregation
        for part in parts:
            part.register_forward_hook(lambda *seen: shapes.append(seen[-1]))
        clips = torch.zeros(1, 3, 16, 224, 224)
        macs, prediction = count_macs(lambda: network.predict(clips))
        sequences = group_sequences(torch.cat([clips, clips]))
    assert macs / 1e9 == pytest.approx(201, abs=0.5)
    assert count(lst) - count(lst.stages) == 3_668_096
    assert count(lst.stages) == 16_819_200
    assert count(aggregation) == 5_324_546
    assert count(network) == 25_811_842
    features, tokens, *stages, (summaries, embeddings), logits = shapes
    assert sequences.shape == (392, 3, 16, 16, 16)
    assert features.shape == (196, 64, 16, 8, 8)
    assert tokens.shape == (196, 16, 384)
    for side, (low, tokens) in zip((8, 4, 2, 1), stages, strict=True):
        assert low.shape == (196, 64, 16, side, side)
        assert tokens.shape == (196, 17, 384)
    assert summaries.shape == embeddings.shape == (1, 196, 384)
    assert logits.shape == (1, 2)
    assert prediction.scores.shape == (1,)
    assert prediction.maps.shape == (1, 1, 14, 14)


@pytest.mark.parametrize(
    ("option", "more"), [("position_embedding", 16 * 32), ("integrity_head", 32 + 1)]
)
def test_options_cost_what_they_should(network, batch, option, more):
    other = Lttd(LttdConfig(**SMALL, **{option: True}))
    assert count(other) - count(network) == more
    assert other.eval().predict(batch.images).maps.shape == (8, 1, 4, 4)


def test_the_stem_is_a_convolution_and_two_residual_blocks(network):
    convolution, *blocks = network.sequences.stem.features
    assert isinstance(convolution, torch.nn.Conv3d)
    assert [type(block).__name__ for block in blocks] == ["ResidualBlock"] * 2


def test_sequences_are_the_patches_row_by_row():
    clips = torch.arange(2 * 3 * 5 * 32 * 48).view(2, 3, 5, 32, 48)
    sequences = group_sequences(clips)
    assert sequences.shape == (12, 3, 5, 16, 16)
    assert torch.equal(sequences[6 + 3 + 2], clips[1, :, :, 16:, 32:])


def test_a_sequence_knows_nothing_of_the_others_until_they_are_compared(network, batch):
    network.eval()
    changed = batch.images[:1].clone()
    changed[..., 16:32, 48:] += 1  # row 1, column 3 of 4 x 4
    with torch.no_grad():
        before, after = network.sequences(batch.images[:1]), network.sequences(changed)
        for one, other in zip(before, after, strict=True):
            moved = (one - other).abs().amax(dim=2)[0] > 1e-6
            assert moved.nonzero().flatten().tolist() == [7]
        assert not torch.equal(network(batch.images[:1])[0], network(changed)[0])


def test_all_frames_and_their_order_count(network, batch):
    network.eval()
    clip = torch.randn(1, 3, 3, 64, 64)
    with torch.no_grad():
        tokens, _ = network.sequences(clip)
        turned, _ = network.sequences(clip.flip(2))
        for frame in range(3):
            other = clip.clone()
            other[:, :, frame] = 0
            assert not torch.allclose(network.sequences(other)[0], tokens, atol=1e-4)
    assert not torch.allclose(turned, tokens, atol=1e-4)


def test_aggregation_knows_places_only_when_told(network, batch):
    told = Lttd(LttdConfig(**SMALL, position_embedding=True)).eval()
    tokens = torch.randn(2, 16, 32)
    order = torch.randperm(16)
    with torch.no_grad():
        plain = network.eval().aggregation
        torch.testing.assert_close(plain(tokens[:, order]), plain(tokens))
        assert not torch.allclose(told.aggregation(tokens[:, order]), told.aggregation(tokens))


def test_enhancement_by_hand():
    layer = LowLevelEnhancement(3, 4, 8, 6)
    low, tokens = torch.randn(2, 3, 5, 16, 16), torch.randn(2, 6, 6)
    pooled, gated = layer(low, tokens)
    features = F.conv3d(low, layer.convolution.weight, layer.convolution.bias, padding=1)
    blocks = features.view(2, 4, 5, 8, 2, 8, 2).amax(dim=(4, 6))
    torch.testing.assert_close(pooled, blocks)
    assert torch.equal(gated[:, 0], tokens[:, 0])
    for frame in range(5):
        gate = torch.sigmoid(layer.gate(blocks[:, :, frame].flatten(1)))
        torch.testing.assert_close(gated[:, 1 + frame], tokens[:, 1 + frame] * gate)


def test_the_gate_of_every_stage_multiplies(network, batch):
    network.eval()
    enhancements = [network.sequences.enhancement]
    enhancements += [stage.enhancement for stage in network.sequences.stages]
    with torch.no_grad():
        tokens, embeddings = network.sequences(batch.images[:1])
        for place, layer in enumerate(enhancements):
            before = layer.gate.bias.clone()
            layer.gate.bias.fill_(-200)  # closed
            closed, silent = network.sequences(batch.images[:1])
            layer.gate.bias.copy_(before)
            assert not torch.allclose(silent, embeddings, atol=1e-3)
            last = place == len(enhancements) - 1
            assert last == (not silent.any())
            assert last == torch.equal(closed, tokens)  # the class token is never gated


@pytest.mark.parametrize("half", [False, True])
def test_checkpointing_changes_no_gradient_and_no_statistic(network, batch, half):
    batch = Batch(batch.images[:2], batch.labels[:2], batch.maps[:2], ("a", "b"), batch.rows[:2])
    plain = Lttd(LttdConfig(**SMALL, checkpointing=False))
    plain.load_state_dict(network.state_dict())
    for module in (network, plain):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            terms = module.loss(batch)
        sum(terms.values()).backward()
    for (name, one), other in zip(network.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, msg=name)
    expected = plain.state_dict()
    assert network.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())
    norm = network.sequences.stem.features[1].body[1]
    assert (norm.num_batches_tracked, norm.momentum) == (1, 0.1)


def test_checkpointing_computes_twice_only_while_training(network, batch):
    passes = []
    network.sequences.stages[0].register_forward_pre_hook(lambda *_: passes.append(0))
    sum(network.loss(batch).values()).backward()
    assert len(passes) == 2
    with torch.no_grad():
        network.predict(batch.images)
    sum(network.eval().loss(batch).values()).backward()
    assert len(passes) == 4


def test_integrity_by_hand():
    maps = torch.zeros(3, 1, 2, 4, 6)
    maps[0, 0, 0, :2, :2] = 0.8  # the first cell in one of two frames
    maps[0, 0, :, 2:, 5] = 0.09  # half of the last cell, faint, in both
    maps[1, 0, 1, 0, 2] = 0.3  # a quarter of the second cell in one frame
    soft = [[0.4, 0, 0, 0, 0, 0.045], [0, 0.0375, 0, 0, 0, 0], [0] * 6]
    peaks = [[0.8, 0, 0, 0, 0, 0.045], [0, 0.075, 0, 0, 0, 0], [0] * 6]
    hard = [[1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0], [0] * 6]
    assert torch.allclose(sequence_integrity(maps, (2, 3)), torch.tensor(soft))
    assert torch.allclose(sequence_integrity(maps, (2, 3), pooling="max"), torch.tensor(peaks))
    for mode in ("hard", "relative"):
        assert sequence_integrity(maps, (2, 3), mode).tolist() == hard
    found = sequence_integrity(maps, (2, 3), "hard", least_share=0.125)  # not above it
    assert found.tolist() == [hard[0], [0] * 6, [0] * 6]
    found = sequence_integrity(maps, (2, 3), "hard", threshold=0.09)
    assert found.tolist() == [[1, 0, 0, 0, 0, 1], *hard[1:]]
    found = sequence_integrity(maps, (2, 3), "relative", peak_share=0.1)
    assert found.tolist() == [[1, 0, 0, 0, 0, 1], *hard[1:]]


def test_similarity_is_the_shifted_cosine():
    embeddings = torch.tensor([[[1.0, 0], [2, 0], [-3, 0], [0, 5], [1, 1]]])
    expected = [1, 1, 0, 0.5, 0.5 + 0.5**1.5]
    assert similarity(embeddings)[0, 0].tolist() == pytest.approx(expected)


def test_any_integrity_can_be_met():
    shares = torch.linspace(0, 1, 9)[None]  # e_i: signs, as many negative as r_i says
    embeddings = torch.where(torch.arange(8) < shares[0, :, None] * 8, -1.0, 1.0)[None]
    torch.testing.assert_close(similarity(embeddings), pairwise_agreement(shares))


def test_losses_by_hand(network, batch):
    network.eval()
    terms, (logits, embeddings) = network.loss(batch), network(batch.images)
    shares = area_average(batch.maps, 4).mean(dim=2).flatten(1)
    expected = 0.0
    for i in range(16):
        for j in range(16):
            cosine = F.cosine_similarity(embeddings[:, i], embeddings[:, j])
            gap = (1 - (shares[:, i] - shares[:, j]).abs() - (1 + cosine) / 2).abs() - 0.1
            expected += gap.clamp_min(0).square().mean() / 256
    torch.testing.assert_close(terms["inconsistency"], 0.1 * expected)
    torch.testing.assert_close(terms["classification"], F.cross_entropy(logits, batch.labels))
    assert set(terms) == {"inconsistency", "classification"}
    headed = Lttd(LttdConfig(**SMALL, integrity_head=True)).eval()
    headed.load_state_dict(network.state_dict(), strict=False)
    terms, maps = headed.loss(batch), headed.predict(batch.images).maps.flatten(1)
    entropy = -(shares * maps.log() + (1 - shares) * (1 - maps).log())
    torch.testing.assert_close(terms["integrity"], 0.1 * entropy.mean())
    assert set(terms) == {"integrity", "classification"}


def test_what_is_within_the_tolerance_is_free():
    agreement = torch.ones(1, 2, 2)
    found = torch.tensor([[[1.0, 0.91], [0.6, 0.9]]])
    assert inconsistency_loss(found, agreement, 0.1).item() == pytest.approx(0.3**2 / 4)


def test_true_similarities_read_back_as_their_map():
    maps = torch.zeros(1, 1, 2, 64, 96)
    maps[..., 20:44, 20:76] = 0.6
    agreement = pairwise_agreement(sequence_integrity(maps, (4, 6)))
    found = inconsistency_with_border(agreement.unflatten(2, (4, 6)).unflatten(1, (4, 6)))
    torch.testing.assert_close(found, area_average(maps.mean(dim=2), (4, 6)))


def test_map_modes_reach_the_loss(network, batch):
    faint, losses = batch._replace(maps=batch.maps * 0.05), {}
    for mode in ("soft", "hard", "relative"):
        module = Lttd(LttdConfig(**SMALL, map_mode=mode)).eval()
        module.load_state_dict(network.state_dict())
        losses[mode] = module.loss(faint)["inconsistency"]
    nothing = batch._replace(maps=torch.zeros_like(batch.maps))
    whole = network.eval().loss(batch)["inconsistency"]
    torch.testing.assert_close(losses["relative"], whole)
    torch.testing.assert_close(losses["hard"], network.loss(nothing)["inconsistency"])
    assert len({value.item() for value in losses.values()}) == 3


def test_without_maps_it_only_classifies(network, batch):
    assert set(network.loss(batch._replace(maps=None))) == {"classification"}


def test_clips_of_stills_are_learned_from(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("real", "fake"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), rng.integers(0, 256, (80, 80, 3), np.uint8))
    mask = np.zeros((80, 80), np.uint8)
    mask[20:60, 30:70] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    faces = [Face("real.png", 0), Face("fake.png", 1, mask="mask.png")]
    index = FaceIndex.of(faces, tmp_path)
    augmentation = Augmentation(flip=True, smallest_crop=0.8)
    dataset = FaceDataset(index, 48, TruthMaps(index), augmentation, frames=6, stills=True)
    config = LttdConfig(**{**SMALL, "image_size": 48, "frames": 6})
    network = Lttd(config)
    drawn = collate([dataset[Draw(0, 0)], dataset[Draw(1, 1)]])
    ready = drawn.standardised(network.input_spec)
    assert ready.images.shape == (2, 3, 6, 48, 48)
    assert ready.maps.shape == (2, 1, 6, 48, 48)
    integrity = sequence_integrity(ready.maps, (3, 3))
    assert not integrity[0].any()
    assert integrity[1, 4] > 0.5  # the middle
    sum(network.loss(ready).values()).backward()
    maps = network.eval().predict(ready.images).maps
    assert maps.shape == (2, 1, 3, 3)


def test_rate_falls_like_a_cosine():
    rates = [learning_rate(step, 400, Lttd.optimizer) for step in (0, 200, 399)]
    assert rates[:2] == pytest.approx([1e-4, 5e-5])
    assert rates[2] < 1e-8
    assert Lttd.optimizer.weight_decay == 0.05


@pytest.mark.parametrize(
    "change",
    [
        {"image_size": 100},
        {"image_size": 32},
        {"frames": 1},
        {"depth": 0},
        {"width": 100},
        {"integrity_weight": -1.0},
        {"tolerance": 1.0},
        {"least_share": -0.1},
        {"peak_share": 1.0},
        {"map_threshold": 0.0},
    ],
)
def test_bad_settings_are_named(change):
    with pytest.raises(InputError, match=next(iter(change))):
        LttdConfig(**change)
