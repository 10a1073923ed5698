"""The token swap by hand: the chosen tokens, and the gradient of its temperature."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from focus.network.model import FoCus, FoCusConfig
from focus.network.swapping import TokenSwap


class Known(nn.Module):
    """Scores that do not depend on the tokens."""

    def __init__(self, values):
        super().__init__()
        self.values = nn.Parameter(torch.tensor(values).view(1, -1, 1))

    def forward(self, tokens):
        return self.values.expand(len(tokens), -1, 1)


def swap_of(first, second, temperature=1.0):
    swap = TokenSwap(2, temperature)
    swap.scores = nn.ModuleList([Known(first), Known(second)])
    return swap


def test_the_token_of_the_larger_score_is_taken_from_its_own_modality():
    swap = swap_of([3.0, 1.0, 1.0], [2.0, 2.0, 5.0]).eval()
    first, second = torch.full((1, 3, 2), 10.0), torch.full((1, 3, 2), 20.0)
    tokens, choice = swap(first, second)
    assert tokens[0, :, 0].tolist() == [10.0, 20.0, 20.0]
    assert choice[0].tolist() == [[1, 0], [0, 1], [0, 1]]


def test_training_draws_by_gumbel_softmax_of_the_temperature():
    swap = swap_of([0.5, -0.5], [0.1, 0.2], temperature=0.25)
    first, second = torch.randn(1, 2, 2), torch.randn(1, 2, 2)
    torch.manual_seed(3)
    tokens, choice = swap(first, second)
    tokens.sum().backward()
    logits = torch.tensor([[[0.5, 0.1], [-0.5, 0.2]]], requires_grad=True)
    torch.manual_seed(3)
    expected = F.gumbel_softmax(logits, tau=0.25, hard=True, dim=-1)
    (expected[..., :1] * first + expected[..., 1:] * second).sum().backward()
    assert torch.equal(choice, expected)
    for which, head in enumerate(swap.scores):
        torch.testing.assert_close(head.values.grad[..., 0], logits.grad[..., which])


CONFIG = FoCusConfig(
    encoder="resnet10t", encoder_weights="none", image_size=64, stage=2, output_stride=8
)


def test_the_temperature_of_the_settings_is_the_swaps():
    assert FoCus(FoCusConfig(**{**vars(CONFIG), "temperature": 0.3})).swap.temperature == 0.3


def test_the_choice_keeps_its_place_on_the_grid():
    network = FoCus(CONFIG).eval()
    height, width = network.grid
    scores = torch.zeros(height * width)
    scores[1 * width + 3] = 1.0  # row 1, column 3
    network.swap = swap_of([0.5] * (height * width), scores.tolist()).eval()
    choice = network(torch.rand(2, 3, 64, 64)).choice
    assert choice[:, 1].nonzero().tolist() == [[0, 1, 3], [1, 1, 3]]
    assert torch.equal(choice[:, 0], 1 - choice[:, 1])


def test_each_branch_sees_its_own_standardised_modality():
    from focus.modalities import sobel

    network = FoCus(CONFIG).eval()
    images = torch.rand(4, 3, 64, 64)
    network.calibrate(images)
    seen = []
    for encoder in network.encoders:
        encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(images)
    # ImageNet's statistics, as the weights of timm's models expect them.
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = (images - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    torch.testing.assert_close(seen[0], expected)
    edges = sobel(images)
    by_hand = edges - edges.mean(dim=(0, 2, 3), keepdim=True)
    torch.testing.assert_close(seen[1], by_hand / edges.std(dim=(0, 2, 3), keepdim=True))


def test_the_classifier_standardises_its_images():
    from focus.network.classifier import Classifier
    from focus.network.encoder import EncoderConfig

    fields = EncoderConfig.__dataclass_fields__
    network = Classifier(EncoderConfig(**{n: getattr(CONFIG, n) for n in fields})).eval()
    seen = []
    network.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(torch.full((1, 3, 64, 64), 0.5))
    expected = [(0.5 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, (0.5 - 0.406) / 0.225]
    assert seen[0][0, :, 0, 0].tolist() == pytest.approx(expected, abs=1e-5)
