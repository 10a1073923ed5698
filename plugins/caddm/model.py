"""CADDM: a backbone, the Artifact Detection Module beside its pooled vector, one classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plugins import (
    FAKE,
    Batch,
    Detector,
    InputError,
    InputSpec,
    OptimizerConfig,
    Prediction,
    Summary,
    check_choices,
    check_options,
    create_backbone,
    dissimilarity,
)
from plugins.caddm.anchors import LEAST_GRID, Assignment, decode, lay_anchors, match_anchors
from plugins.caddm.artifact_detection import CLASSES, ArtifactDetection
from plugins.caddm.losses import anchor_losses
from plugins.caddm.painting import paint
from plugins.caddm.swapping import Swapped, swap_faces
from plugins.caddm.targets import FLOOR, draw_local_boxes

IMAGENET_CLASSES = 1000
_STRIDE = 32
# The released network's: TensorFlow's EfficientNets with drop-connect.
_EFFICIENTNET = {"drop_path_rate": 0.2, "bn_momentum": 0.01}
_BACKBONES: dict[str, tuple[str, dict[str, float], float]] = {  # timm's name, arguments, dropout
    "resnet34": ("resnet34.tv_in1k", {}, 0.0),
    "tf_efficientnet_b3": ("tf_efficientnet_b3.aa_in1k", _EFFICIENTNET, 0.3),
    "tf_efficientnet_b4": ("tf_efficientnet_b4.aa_in1k", _EFFICIENTNET, 0.4),
}
_DSSIM_FLOOR = 1e-3


@dataclass(frozen=True)
class CaddmConfig:
    """The network, the source of its boxes, and its losses; the defaults are the paper's."""

    backbone: Literal["resnet34", "tf_efficientnet_b3", "tf_efficientnet_b4"] = "tf_efficientnet_b4"
    """One of the paper's backbones."""
    encoder_weights: str = "timm"
    """A file (safetensors or a tensors-only .pth), 'timm' to download, or 'none'."""
    image_size: int = 224
    """Side of the square input in pixels."""
    mode: Literal["map", "mfs"] = "map"
    """map: boxes from maps, without pairs; mfs: facial swaps with aligned originals (the paper)."""
    adm_width: int = 0
    """Channels of the Artifact Detection Module; 0: those of the backbone."""
    detection_weight: float = 0.1
    """Weight of the two losses of the anchors."""
    min_neg_per_image: int = 0
    """Minimum number of negative anchors per image, so that real faces train the anchors too; the
    paper has 0, we recommend 6."""

    def __post_init__(self) -> None:
        check_choices(self)
        check_options(self, "image_size", least=_STRIDE)
        check_options(self, "adm_width", "detection_weight", "min_neg_per_image", least=0)


class Output(NamedTuple):
    """logits: (B, 2).  offsets: (B, A, 4).  confidences: logits (B, A, 2)."""

    logits: Tensor
    offsets: Tensor
    confidences: Tensor


class Caddm(Detector[CaddmConfig]):
    """The detector; images are RGB, 0 to 255, converted to BGR inside."""

    input_spec = InputSpec(std=(1 / 255,) * 3)
    gmacs = 6.26
    summary = Summary(
        "Dong et al., CVPR 2023",
        "score, boxes as map",
        "maps, or column original (mode=mfs)",
        "ImageNet",
    )
    optimizer: ClassVar[OptimizerConfig] = OptimizerConfig(
        optimizer="adamw",
        lr=3.6e-4,
        weight_decay=4e-3,
        schedule="steps",
        # 1e-4 from the 5th of 200 epochs on, 5e-5 from the 11th.
        factors=((4 / 200, 1e-4 / 3.6e-4), (10 / 200, 5e-5 / 3.6e-4)),
        clip_value=2.0,
    )
    # 200 epochs over one frame of each of 720 real and 4 x 720 fake videos: 200 x 3600 / 128.
    steps: ClassVar[int] = 5625
    batch: ClassVar[int] = 128
    anchors: Tensor

    def __init__(self, config: CaddmConfig = CaddmConfig()) -> None:
        super().__init__()
        self.config = config
        self.input_spec = InputSpec(image_size=config.image_size, std=(1 / 255,) * 3)
        self.companion = "original" if config.mode == "mfs" else ""
        self.maps_without_supervision = config.mode == "mfs"  # the swap is localised
        name, arguments, dropout = _BACKBONES[config.backbone]
        self.backbone = create_backbone(name, config.encoder_weights, num_classes=0, **arguments)
        channels = self.backbone.num_features
        self.detection = ArtifactDetection(channels, config.adm_width)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(channels, CLASSES)
        # Part of the published network and its parameter count; frozen and unused.
        self.imagenet = nn.Linear(channels, IMAGENET_CLASSES).requires_grad_(False)
        grid = max(-(-config.image_size // _STRIDE), LEAST_GRID)
        self.register_buffer("anchors", lay_anchors(config.image_size, grid), persistent=False)

    def forward(self, images: Tensor) -> Output:
        """Return logits and anchor outputs of images (B, 3, H, W), RGB, 0 to 255."""
        features = self.backbone.forward_features(images.flip(1))  # (B, C, h, w)
        found = self.detection(features)
        pooled = self.dropout(features.mean(dim=(2, 3)))
        return Output(self.classifier(pooled + found.vector), found.offsets, found.confidences)

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the weighted terms: CE + 0.1 * (anchors' CE + anchors' smooth L1).

        Raises:
            InputError: ``mode=mfs`` without aligned originals.
        """
        images, assignment = batch.images, None
        fake = batch.labels == FAKE
        if self.config.mode == "mfs":
            swapped = self._swap(batch, fake)
            images = swapped.images
            assignment = self._assign(fake, swapped.boxes, swapped.partial)
        elif batch.maps is not None:
            assignment = self._assign(fake, *draw_local_boxes(batch.maps))
        output = self(images)
        classified = F.cross_entropy(output.logits.float(), batch.labels)
        if assignment is None:
            return {"classification": classified}
        least, weight = self.config.min_neg_per_image, self.config.detection_weight
        confidence, box = anchor_losses(output.confidences, output.offsets, assignment, least)
        return {
            "classification": classified,
            "anchor_confidence": weight * confidence,
            "anchor_box": weight * box,
        }

    def predict(self, images: Tensor) -> Prediction:
        """Return P(fake) and a map (B, 1, 14, 14): P(fake) times the map painted from the anchors.

        ``parts`` hold the anchors' decoded boxes (B, A, 4) in pixels and their confidence (B, A).
        """
        output = self(images)
        scores = output.logits.float().softmax(dim=1)[:, FAKE]
        boxes = decode(output.offsets.float(), self.anchors)
        confidence = output.confidences.float().softmax(dim=-1)[..., FAKE]
        painted = paint(boxes, confidence, self.config.image_size)
        parts = {"boxes": boxes, "confidence": confidence}
        return Prediction(scores, scores.view(-1, 1, 1, 1) * painted, parts)

    def _swap(self, batch: Batch, fake: Tensor) -> Swapped:
        if batch.companions is None:
            raise InputError(
                "--options mode=mfs: needs the aligned original of each fake (column original of "
                "the index); mode=map does not need it"
            )
        images = batch.images.float()
        with torch.autocast(images.device.type, enabled=False), torch.no_grad():
            originals = batch.companions.float()
            if batch.maps is not None:
                return swap_faces(images, originals, fake, batch.maps.float(), FLOOR)
            evidence = (dissimilarity(images, originals) / 2).clamp(0, 1)
            return swap_faces(images, originals, fake, evidence, _DSSIM_FLOOR)

    def _assign(self, fake: Tensor, local: Tensor, found: Tensor) -> Assignment:
        """Give every fake the global box, and its local one (B, 4) where present."""
        side = float(self.config.image_size)
        whole = local.new_tensor([0.0, 0.0, side, side]).expand_as(local)
        present = torch.stack([fake, fake & found], dim=1)
        return match_anchors(self.anchors, torch.stack([whole, local], dim=1), present)
