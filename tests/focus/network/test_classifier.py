"""The plain classifier: one head on the mean token."""

import torch
import torch.nn.functional as F

from focus.network.classifier import Classifier
from focus.network.encoder import EncoderConfig
from focus.types import Batch


def test_loss_and_score_are_those_of_the_mean_token():
    config = EncoderConfig("vit_tiny_patch16_224", encoder_weights="none", image_size=32)
    network = Classifier(config).eval()
    images, labels = torch.rand(3, 3, 32, 32), torch.tensor([0, 1, 1])
    logits = network.head(network.encoder((images - network.mean) / network.std).mean(dim=1))
    chosen = logits.log_softmax(dim=1)[torch.arange(3), labels]
    batch = Batch(images, labels, None, ("a", "b", "c"), torch.arange(3))
    torch.testing.assert_close(network.loss(batch)["classification"], -chosen.mean())
    torch.testing.assert_close(network.predict(images).scores, F.softmax(logits, dim=1)[:, 1])
