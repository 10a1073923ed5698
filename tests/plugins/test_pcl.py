import pytest
import torch
import torch.nn.functional as F
from torch._subclasses import FakeTensorMode

from focus.errors import InputError
from focus.macs import count_macs
from focus.optim import learning_rate
from plugins.pcl import PCL, PCLConfig
from plugins.pcl.consistency import ConsistencyBranch, inconsistency_with_border
from plugins.targets import area_average, consistency_volume

SMALL = {"encoder": "resnet10t", "encoder_weights": "none", "image_size": 64}


@pytest.fixture
def network():
    torch.manual_seed(0)
    return PCL(PCLConfig(**SMALL))


def test_size_and_shapes_of_the_paper():
    with FakeTensorMode():  # shapes alone, nothing computed
        network = PCL(PCLConfig(encoder_weights="none"))
        source, deepest = network.backbone(torch.zeros(2, 3, 256, 256))
        macs, (logits, volume) = count_macs(lambda: network(torch.zeros(2, 3, 256, 256)))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert parameters == 21_285_698 + 256 * 256 + 256  # ResNet-34 of two classes, and theta
    assert macs / 2e9 == pytest.approx(4.8, abs=0.05)
    assert source.shape == (2, 256, 16, 16)
    assert deepest.shape == (2, 512, 8, 8)
    assert logits.shape == (2, 2)
    assert volume.shape == (2, 16, 16, 16, 16)


def test_consistency_is_the_scaled_product_of_one_embedding():
    branch = ConsistencyBranch(8)
    features = torch.randn(2, 8, 3, 4)
    volume = branch(features)
    embedded = branch.embedding(features)
    product = (embedded[0, :, 1, 2] * embedded[0, :, 2, 0]).sum() / 8**0.5
    torch.testing.assert_close(volume[0, 1, 2, 2, 0], product)
    torch.testing.assert_close(volume, volume.permute(0, 3, 4, 1, 2))


def test_true_volume_reads_back_as_its_map():
    maps = torch.zeros(2, 1, 64, 96)
    maps[0, :, 20:47, 17:80] = 1
    maps[1, :, 16:40, 16:64] = 0.7
    found = inconsistency_with_border(consistency_volume(maps, (4, 6)))
    torch.testing.assert_close(found, area_average(maps, (4, 6)))


def test_forgery_beyond_half_of_the_face_is_still_the_forgery():
    maps = torch.zeros(1, 1, 16, 16)
    maps[..., 1:-1, 1:-1] = 1  # 77 %
    volume = consistency_volume(maps, 16)
    torch.testing.assert_close(inconsistency_with_border(volume), maps)
    majority = 1 - volume.mean(dim=(1, 2))[:, None]
    assert majority[0, 0, 8, 8] < majority[0, 0, 0, 0]  # which the majority gets wrong


def test_the_border_is_every_outer_cell_once():
    volume = torch.rand(1, 4, 3, 4, 3)
    border = [
        (row, column)
        for row in range(4)
        for column in range(3)
        if (row, column) not in ((1, 1), (2, 1))
    ]
    expected = 1 - sum(volume[:, row, column] for row, column in border) / len(border)
    torch.testing.assert_close(inconsistency_with_border(volume), expected[:, None])


def test_real_face_stays_calm(network, batch):
    with torch.no_grad():
        network.classifier.weight.zero_()
        network.classifier.bias.copy_(torch.tensor([8.0, 0.0]))
        prediction = network.eval().predict(batch.images)
    assert prediction.maps.max() <= prediction.scores.max() < 1e-3


def test_loss_by_hand(network, batch):
    terms = network.eval().loss(batch)
    logits, volume = network(batch.images)
    chance, truth = volume.sigmoid(), consistency_volume(batch.maps, 4)
    entropy = -(truth * chance.log() + (1 - truth) * (1 - chance).log())
    torch.testing.assert_close(terms["consistency"], 10 * entropy.mean())
    torch.testing.assert_close(terms["classification"], F.cross_entropy(logits, batch.labels))


def test_hard_maps_are_thresholded_before_they_are_averaged(network, batch):
    soft = batch._replace(maps=batch.maps * 0.6)
    hard = PCL(PCLConfig(**SMALL, map_mode="hard")).eval()
    hard.load_state_dict(network.state_dict())
    network.eval()
    torch.testing.assert_close(hard.loss(soft), network.loss(batch))
    assert network.loss(soft)["consistency"] != network.loss(batch)["consistency"]


def test_without_maps_it_only_classifies(network, batch):
    assert set(network.loss(batch._replace(maps=None))) == {"classification"}


def test_rate_rises_for_a_quarter_then_falls_to_nothing():
    rates = [learning_rate(step, 400, PCL.optimizer) for step in range(400)]
    assert max(rates) == rates[99] == pytest.approx(5e-5)
    assert rates[250] == pytest.approx(2.5e-5)
    assert rates[-1] < 2e-7


@pytest.mark.parametrize(
    "change", [{"image_size": 32}, {"consistency_weight": -1.0}, {"map_threshold": 0.0}]
)
def test_bad_settings_are_named(change):
    with pytest.raises(InputError, match=next(iter(change))):
        PCLConfig(**change)
