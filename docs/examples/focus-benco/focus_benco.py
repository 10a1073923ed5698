"""Models of IMDL-BenCo's zoo as detectors: the same data, loop and metrics as every other one.

A model of the zoo computes its own loss; with maps this is the loss. Without maps only its score
is trained, by binary cross-entropy. The score is the model's own where it has one, else the
maximum or the mean of its map.
"""

from __future__ import annotations

import contextlib
import importlib
import io
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import nn

from plugins import (
    Detector,
    InputError,
    InputSpec,
    OptimizerConfig,
    Prediction,
    Summary,
    check_choices,
    read_tensors,
)
from plugins.targets import edges, harden

EDGE_WIDTH = 7
INSTALL = "pip install --no-deps imdlbenco==0.1.45, and the packages that README.md lists"


@dataclass(frozen=True)
class BencoConfig:
    """Settings of a model with a fixed input size."""

    weights: str = "none"
    """Initial weights of the whole model: a file (safetensors or a tensors-only .pth), or 'none'.
    """
    score: Literal["maximum", "mean"] = "maximum"
    """Score of a model that has none: the maximum or the mean of its map."""

    def __post_init__(self) -> None:
        check_choices(self)


class Benco(Detector[BencoConfig]):
    """A model of the zoo; a subclass names it and its input size.

    Raises:
        InputError: IMDL-BenCo or one of its packages is missing, or the weights do not fit.
    """

    name: ClassVar[str]
    settings: ClassVar[dict[str, Any]] = {}
    optimizer = OptimizerConfig("adamw", lr=1e-4, weight_decay=0.05)
    steps, batch = 30_000, 8

    def __init__(self, config: BencoConfig = BencoConfig()) -> None:
        super().__init__()
        self.config = config
        self.network = build(self.name, self.settings, config.weights)

    def run(self, images, labels, maps):
        """Return the model's dictionary, in float32: its loss is not safe in half precision."""
        masks = torch.zeros_like(images[:, :1]) if maps is None else maps
        around = edges(harden(masks), EDGE_WIDTH)
        with torch.autocast(images.device.type, enabled=False):
            return self.network(image=images.float(), mask=masks, label=labels, edge_mask=around)

    def rate(self, output):
        """Return scores (B,) in [0, 1]."""
        if output["pred_label"] is not None:
            return output["pred_label"].float().view(-1).clamp(0, 1)
        cells = output["pred_mask"].float().flatten(1).clamp(0, 1)
        return cells.amax(dim=1) if self.config.score == "maximum" else cells.mean(dim=1)

    def loss(self, batch):
        output = self.run(batch.images, batch.labels, batch.maps)
        if batch.maps is not None:
            return {"benco": output["backward_loss"]}
        return {"classification": F.binary_cross_entropy(self.rate(output), batch.labels.float())}

    def predict(self, images):
        output = self.run(images, images.new_zeros(images.shape[0]), None)
        return Prediction(self.rate(output), output["pred_mask"].float().clamp(0, 1))


def build(name: str, settings: dict[str, Any], weights: str) -> nn.Module:
    """Return a model of the registry, silently, with weights of our own loader."""
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            importlib.import_module("IMDLBenCo.model_zoo")
            registry = importlib.import_module("IMDLBenCo.registry").MODELS
        except ImportError as error:
            raise InputError(f"{error.name or error} is missing: {INSTALL}") from None
        try:
            network = registry.get(name)(**settings)
        except KeyError:
            raise InputError(f"IMDL-BenCo has no model {name}: {INSTALL}") from None
    if weights != "none":
        try:
            network.load_state_dict(read_tensors(weights))
        except RuntimeError as error:
            raise InputError(f"{weights}: does not fit {name} ({str(error)[:200]})") from None
    return network


def spec(size: int) -> InputSpec:
    return InputSpec.imagenet(size)


def describe(paper: str) -> Summary:
    return Summary(paper, "score, map", "maps", "random weights")


class PsccNet(Benco):
    name, settings, input_spec = "PSCC_Net", {"pretrain_path": ""}, spec(256)
    summary = describe("Liu et al., TCSVT 2022")


class Mesorch(Benco):
    name, input_spec, summary = "Mesorch", spec(512), describe("Zhu et al., AAAI 2025")


class SparseVit(Benco):
    name, input_spec, summary = "SparseViT", spec(512), describe("Su et al., AAAI 2025")


class MantraNet(Benco):
    name, input_spec, summary = "MantraNet", spec(256), describe("Wu et al., CVPR 2019")


class ObjectFormer(Benco):
    name, input_spec, summary = "ObjectFormer", spec(224), describe("Wang et al., CVPR 2022")


class ImlVit(Benco):
    name, input_spec, summary = "IML_ViT", spec(1024), describe("Ma et al., arXiv 2023")
