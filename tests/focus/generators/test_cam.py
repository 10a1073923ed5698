"""Class maps against their formulas: full backward passes, hand-computed numbers, naive loops."""

from __future__ import annotations

import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from focus.detectors import DETECTORS
from focus.generators.attention_maps import Attention, Rollout
from focus.generators.cam import GradCam, GradCamPlusPlus, LayerCam, ScoreCam
from focus.generators.contract import StoredParts
from focus.generators.layers import ClassTokenBlock
from focus.network.classifier import Classifier
from focus.network.encoder import EncoderConfig
from focus.network.model import FoCus, FoCusConfig
from focus.types import Prediction
from tests.focus.generators.explained_networks import (
    SIDE,
    VIT,
    VIT_OPTIONS,
    Conv,
    Linear,
    LinearConfig,
    enlarge,
    predict,
    stretch,
    write_run,
)

CAMS = [GradCam, GradCamPlusPlus, LayerCam, ScoreCam]
EVERY = [*CAMS, Attention, Rollout]


@pytest.fixture(scope="module")
def classifier_run(tmp_path_factory):
    torch.manual_seed(0)
    config = EncoderConfig(encoder=VIT, encoder_weights="none", image_size=SIDE)
    network = enlarge(Classifier(config), 2.0)
    return write_run(tmp_path_factory.mktemp("runs") / "run", "classifier", network, config)


@pytest.fixture(scope="module")
def focus_run(tmp_path_factory):
    torch.manual_seed(0)
    config = FoCusConfig(encoder=VIT, encoder_weights="none", image_size=SIDE)
    network = enlarge(FoCus(config), 2.0)
    return write_run(tmp_path_factory.mktemp("runs") / "run", "focus", network, config)


def correlation(first, second):
    pairs = zip(first.flatten(1), second.flatten(1), strict=True)
    return min(torch.corrcoef(torch.stack(pair))[0, 1].item() for pair in pairs)


def test_gradcam_is_the_full_backward_pass(vit, vit_file, images):
    outputs = []
    handle = vit.blocks[-1].norm1.register_forward_hook(lambda *seen: outputs.append(seen[2]))
    faces = images.clone().requires_grad_()
    logits = vit(faces)
    handle.remove()
    outputs[0].retain_grad()
    logits[:, 1].sum().backward()
    tokens, gradient = outputs[0][:, 1:], outputs[0].grad[:, 1:]
    cam = (tokens * gradient.mean(dim=1, keepdim=True)).sum(dim=2).clamp_min(0).view(4, 4, 4)
    scores = logits.softmax(dim=1)[:, 1]
    found = GradCam.load(vit_file, VIT_OPTIONS)
    assert found.layer_name == "blocks.-1.norm1"
    assert isinstance(found.explained.network.blocks[-1], ClassTokenBlock)
    prediction = predict(found, images)
    torch.testing.assert_close(prediction.scores, scores.detach(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(prediction.parts["cam"], cam.detach(), rtol=1e-3, atol=1e-5)
    expected = stretch(cam) * scores[:, None, None]
    torch.testing.assert_close(prediction.maps[:, 0], expected.detach(), rtol=1e-3, atol=1e-4)


@pytest.fixture
def linear_run(tmp_path):
    network = Linear()
    with torch.no_grad():  # of the fake's logit: the gradient of every place
        network.weights[1] = torch.tensor([[[1.0, -1.0], [0.0, 2.0]], [[0.0, 0.0], [-1.0, -1.0]]])
    with DETECTORS.temporarily("linear", Linear):
        yield write_run(tmp_path / "linear", "linear", network, LinearConfig())


PLANES = [[[1.0, 2.0], [3.0, 4.0]], [[1.0, 1.0], [2.0, 2.0]], [[0.0, 0.0], [0.0, 0.0]]]


@pytest.mark.parametrize(
    ("kind", "cam"),
    [
        # Mean gradients 0.5 and -0.5.
        (GradCam, [[0.0, 0.5], [0.5, 1.0]]),
        # Sum of the first plane 10: shares 1 / (2 + 10) and 1 / (2 + 20), weight 1/12 + 2/22.
        (GradCamPlusPlus, [[23 / 132, 46 / 132], [69 / 132, 92 / 132]]),
        # Gradients above 0 are 1 at the first place and 2 at the last.
        (LayerCam, [[1.0, 0.0], [0.0, 8.0]]),
    ],
)
@pytest.mark.parametrize("layer", ["relu", "features"])
def test_formulas_by_hand(linear_run, kind, cam, layer):
    generator = kind.load(linear_run, {"layer": layer})
    found = predict(generator, torch.tensor([PLANES])).parts["cam"]
    torch.testing.assert_close(found, torch.tensor([cam]))


def test_scorecam_is_the_naive_loop(tmp_path):
    torch.manual_seed(0)
    network = enlarge(Conv(), 4.0)
    faces = torch.randn(2, 3, 16, 16)
    cams = []
    with DETECTORS.temporarily("conv", Conv), torch.no_grad():
        run = write_run(tmp_path / "run", "conv", network, LinearConfig())
        generator = ScoreCam.load(run, {"layer": "first", "masked": "3"})
        for face in faces:
            planes = network.first(face[None])[0]
            logits = []
            for plane in planes:
                large = F.interpolate(plane[None, None], (16, 16), mode="bilinear")
                mask = (large - large.min()) / (large.max() - large.min())
                logits.append(network.logits(face[None] * mask)[0, 1])
            weights = torch.stack(logits).softmax(dim=0)
            cams.append((planes * weights[:, None, None]).sum(dim=0).clamp_min(0))
        found = predict(generator, faces)
    assert torch.stack(cams).std() > 0.1
    torch.testing.assert_close(found.parts["cam"], torch.stack(cams))


@pytest.mark.parametrize("kind", EVERY)
def test_a_batch_is_its_faces(vit_file, images, kind):
    generator = kind.load(vit_file, VIT_OPTIONS)
    together = predict(generator, images)
    alone = [predict(generator, face[None]) for face in images]
    assert together.maps.shape == (4, 1, 4, 4)
    assert together.maps.amax(dim=(1, 2, 3)).min() > 0
    for name in ("scores", "maps"):
        apart = torch.cat([getattr(prediction, name) for prediction in alone])
        torch.testing.assert_close(getattr(together, name), apart, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_gradcam_of_a_classifier_run_weighs_tokens_by_the_head(classifier_run, images):
    generator = GradCam.load(classifier_run, {})
    network = generator.explained.network
    faces = images.sigmoid()
    tokens = network.tokens(faces)  # logit 1 is w . mean(tokens) + b: the gradient is w / N
    cam = (tokens @ network.head.weight[1] / tokens.shape[1]).clamp_min(0).view(4, 4, 4)
    prediction = predict(generator, faces)
    assert generator.layer_name == "encoder"
    torch.testing.assert_close(prediction.parts["cam"], cam, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(prediction.scores, network.predict(faces).scores)


@pytest.mark.parametrize("kind", EVERY)
def test_runs_of_detectors(classifier_run, focus_run, images, kind):
    for run in (classifier_run, focus_run):
        generator = kind.load(run, {})
        prediction = predict(generator, images[:2].sigmoid())
        assert prediction.maps.shape == (2, 1, 4, 4)
        high = prediction.maps.amax(dim=(1, 2, 3))
        torch.testing.assert_close(high, prediction.scores)  # class_minmax: the peak is P(fake)
        assert generator.describe()["detector"] in ("classifier", "focus")
        assert generator.weights_sha256


def test_focus_is_mapped_where_its_modalities_have_met(focus_run):
    assert GradCam.load(focus_run, {}).layer_name == "fusion.block.norm1"


@pytest.mark.parametrize(
    ("encoder", "layer", "side"),
    [("test_resnet", "layer4", 2), ("test_efficientnet", "bn2", 2)],
)
def test_a_convolutional_backbone(tmp_path, images, encoder, layer, side):
    torch.manual_seed(0)
    model = timm.create_model(encoder, num_classes=1).eval()
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    save_file(tensors, tmp_path / "weights.safetensors")
    options = {"encoder": encoder, "image_size": str(SIDE)}
    generator = GradCam.load(tmp_path / "weights.safetensors", options)
    assert generator.layer_name == layer
    assert generator.input_spec.mean == pytest.approx(model.pretrained_cfg["mean"])
    prediction = predict(generator, images)
    assert prediction.maps.shape == (4, 1, side, side)
    features = model.forward_features(images).detach().requires_grad_()
    logits = model.forward_head(features)[:, 0]
    (gradient,) = torch.autograd.grad(logits.sum(), features)
    cam = (features * gradient.mean(dim=(2, 3), keepdim=True)).sum(dim=1).clamp_min(0)
    torch.testing.assert_close(prediction.parts["cam"], cam.detach(), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(prediction.scores, logits.sigmoid().detach())


class Sure(Conv):
    """Logits so large that its scores round to 1."""

    def logits(self, images):
        return super().logits(images) * 1000 + torch.tensor([0.0, 200.0])


class Roundabout(Conv):
    """Scores that are not an entry of a softmax."""

    def predict(self, images):
        return Prediction(1 - self.logits(images).softmax(dim=1)[:, 0], None)


def test_a_score_of_one_keeps_its_gradient(tmp_path):
    torch.manual_seed(0)
    with DETECTORS.temporarily("sure", Sure):
        run = write_run(tmp_path / "run", "sure", Sure(), LinearConfig())
        prediction = predict(GradCam.load(run, {}), torch.randn(2, 3, 16, 16))
    assert prediction.scores.tolist() == [1.0, 1.0]
    assert prediction.maps.amax(dim=(1, 2, 3)).tolist() == [1.0, 1.0]


def test_other_scores_are_explained_by_their_log_odds(tmp_path):
    torch.manual_seed(0)
    network, faces = enlarge(Conv()), torch.randn(2, 3, 16, 16)
    with DETECTORS.temporarily("roundabout", Roundabout):
        run = write_run(tmp_path / "run", "roundabout", network, LinearConfig())
        evidence = GradCam.load(run, {}).explained(faces)
    logits = network.logits(faces)
    torch.testing.assert_close(evidence.logits, logits[:, 1] - logits[:, 0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", EVERY)
def test_bf16_autocast_changes_little(vit_file, images, kind):
    generator = kind.load(vit_file, VIT_OPTIONS)
    exact = predict(generator, images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = predict(generator, images)
    assert rounded.scores.dtype == rounded.maps.dtype == torch.float32
    assert correlation(exact.maps, rounded.maps) > 0.98


def test_normalisations_are_redone_from_parts(vit_file, images):
    first = predict(GradCam.load(vit_file, VIT_OPTIONS), images)
    assert list(first.parts) == ["cam"]
    stored = StoredParts(first.parts, first.scores)
    for mode, more in (("class_minmax", {}), ("image_minmax", {}), ("global", {"map_scale": "7"})):
        generator = GradCam.load(vit_file, {**VIT_OPTIONS, **more, "normalise": mode})
        assert generator.normalisation == mode
        made = predict(generator, images).maps[:, 0]
        redone = GradCam.renormalise(stored, generator.describe(), mode)
        torch.testing.assert_close(made, redone.clamp(0, 1))
    whole = GradCam.renormalise(stored, {"map_scale": 2.0}, "global")
    torch.testing.assert_close(whole, first.parts["cam"] * first.scores[:, None, None] / 2)


def test_a_minute_map_is_stretched_and_an_empty_one_is_not():
    cam = torch.tensor([[[0.0, 1e-12]], [[0.0, 0.0]]])
    maps = GradCam.renormalise(
        StoredParts({"cam": cam}, torch.tensor([0.5, 0.5])), {}, "class_minmax"
    )
    assert maps.tolist() == [[[0.0, 0.5]], [[0.0, 0.0]]]
