"""Classifiers to explain: their score of a face, as a logit with a gradient."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from focus.backbones import create_backbone, read_tensors
from focus.errors import InputError, first_line
from focus.files import sha256
from focus.released.format import is_released
from focus.runs import Run, RunFolder, load_network, read_run
from focus.types import InputSpec


class Evidence(NamedTuple):
    """Output of an explained network for a batch."""

    logits: Tensor  # float (B,), unbounded, of the fake class
    scores: Tensor  # float32 (B,) in [0, 1]: P(fake)


class Explained(nn.Module, ABC):
    """A frozen classifier of single faces.

    Attributes:
        network: in evaluation mode, all parameters frozen.
        input_spec: of the images that ``forward`` receives.
        natural_layer: path of the module to map; empty: search for it.
        weights_sha256: hash of its weights.
        settings: JSON values that identify the network.
    """

    natural_layer = ""

    def __init__(
        self, network: nn.Module, input_spec: InputSpec, weights: Path, settings: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.input_spec, self.settings = input_spec, settings
        self.weights_sha256 = sha256(weights)

    @abstractmethod
    def forward(self, images: Tensor) -> Evidence:
        """Return logits and scores (B,) of standardised images (B, 3, H, W)."""

    def example(self) -> Tensor:
        """Return one fixed noise image (1, 3, H, W)."""
        size = self.input_spec.image_size
        return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))


class ExplainedRun(Explained):
    """The network of any detector's run folder.

    Its logit is the input of the last softmax or sigmoid in ``predict``, because scores near 0 or 1
    lose their gradient to rounding. A network that computes its scores otherwise is explained by
    their log-odds.

    Raises:
        InputError: a detector of clips.
    """

    def __init__(self, run: Run) -> None:
        network = load_network(run)
        if network.input_spec.frames > 1:
            raise InputError(
                f"{run.weights.parent}: {run.kind} takes clips of {network.input_spec.frames} "
                "frames; maps of this kind need a detector of single faces"
            )
        # Maps depend on the trained weights (recorded by hash), not on the initial ones.
        known = {k: v for k, v in run.network.items() if k != "encoder_weights"}
        settings = {**known, "detector": run.kind}
        super().__init__(network, network.input_spec, run.weights, settings)
        self.natural_layer = network.natural_layer

    def forward(self, images: Tensor) -> Evidence:
        """Return logits and scores (B,) of standardised images (B, 3, H, W)."""
        with _LogitRecorder() as recorder:
            scores = self.network.predict(images).scores  # type: ignore[operator]
        logits = recorder.logits_of(scores)
        if logits is None:
            logits = torch.logit(scores.float(), eps=1e-6)
        return Evidence(logits, scores.float())


class ExplainedBackbone(Explained):
    """A timm classifier with as many classes as the head in its weights file.

    Args:
        weights: state dict of the model, safetensors or a tensors-only .pth; a prefix shared by
            all names is dropped.
        name: name of the timm model.
        target: index of the output for fakes; ignored if there is only one output.
        image_size: side of the input; 0: the model's default.

    Raises:
        InputError: an unknown model, weights without a head or that do not fit, no such output.
    """

    def __init__(self, weights: Path, name: str, target: int, image_size: int) -> None:
        tensors = _without_shared_prefix(read_tensors(weights))
        network = _create_classifier(name, image_size)
        defaults = network.pretrained_cfg
        heads = defaults["classifier"]
        head = heads if isinstance(heads, str) else heads[0]
        if f"{head}.weight" not in tensors:
            raise InputError(f"{weights}: no {head}.weight, the classifier of {name}")
        classes = len(tensors[f"{head}.weight"])
        if not 0 <= target < max(classes, 2):
            raise InputError(f"--options target={target}: {weights} has outputs 0 to {classes - 1}")
        network.reset_classifier(classes)
        try:
            network.load_state_dict(tensors)
        except RuntimeError as error:
            reason = str(error).splitlines()[1].strip()[:160]
            raise InputError(f"{weights}: does not fit {name} ({reason})") from None
        size = image_size or defaults["input_size"][-1]
        spec = InputSpec(size, mean=tuple(defaults["mean"]), std=tuple(defaults["std"]))
        settings = {"encoder": name, "target": target, "image_size": size}
        # Cuts the time of convolutions by a third.
        network = network.to(memory_format=torch.channels_last)
        super().__init__(network, spec, weights, settings)
        self.target = target
        try:
            with torch.no_grad():
                self(self.example())
        except Exception as error:  # models raise different errors for a wrong size
            raise InputError(
                f"encoder {name}: cannot process images of {size} px ({first_line(error)}); its "
                f"default size is --options image_size={defaults['input_size'][-1]}"
            ) from None

    def forward(self, images: Tensor) -> Evidence:
        """Return logits and scores (B,) of standardised images (B, 3, H, W)."""
        logits = self.network(images)  # (B, C)
        if logits.shape[1] == 1:
            return Evidence(logits[:, 0], logits[:, 0].float().sigmoid())
        scores = logits.float().softmax(dim=1)[:, self.target]
        return Evidence(logits[:, self.target], scores)


def _create_classifier(name: str, image_size: int) -> Any:
    """Return a timm classifier for an image size (0: its default)."""
    if image_size:
        try:
            return create_backbone(name, "none", img_size=image_size)
        except InputError:  # most convolutional networks neither have nor need the argument
            pass
    return create_backbone(name, "none")


def load_explained(weights: Path, encoder: str, target: int, image_size: int) -> Explained:
    """Return the network of a run folder, or the timm classifier ``encoder`` of a weights file.

    Raises:
        InputError: neither, or a network that cannot be explained.
    """
    if encoder:
        return ExplainedBackbone(weights, encoder, target, image_size)
    in_run = RunFolder(weights.parent).settings.exists() or is_released(weights)
    if weights.is_file() and not in_run:
        raise InputError(
            f"{weights}: not in a run folder; name its timm model with --options encoder=NAME"
        )
    return ExplainedRun(read_run(weights))


class _LogitRecorder(TorchFunctionMode):
    """Record the inputs of softmax and sigmoid whose results are shaped like scores."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[tuple[Tensor, Tensor]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") in ("softmax", "sigmoid") and args and result.ndim <= 2:
            self.done.append((args[0], result))
        return result

    def logits_of(self, scores: Tensor) -> Tensor | None:
        """Return the logits (B,) of scores that are a recorded result or one of its columns."""
        place = scores.untyped_storage().data_ptr()
        for logits, result in reversed(self.done):
            if result.untyped_storage().data_ptr() == place:
                columns = logits.reshape(len(scores), -1)
                return columns[:, scores.storage_offset() - result.storage_offset()]
        return None


def _without_shared_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Drop the first part of all names if it is the same (the model was a submodule)."""
    if len({name.partition(".")[0] for name in tensors}) > 1:
        return tensors
    return {name.partition(".")[2]: tensor for name, tensor in tensors.items()}
