"""RetinaFace with a MobileNetV1 x 0.25 backbone (Deng et al., CVPR 2020): 0.4 M weights.

Modules are named as in the published state dict ``mobilenet0.25_Final.pth`` of Pytorch_Retinaface,
so that it loads unchanged.
"""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import nms

from focus.data.cropping import LARGEST_SIDE, FaceBox
from focus.errors import InputError

STRIDES = (8, 16, 32)
ANCHOR_SIDES = ((16, 32), (64, 128), (256, 512))
CENTRE_VARIANCE, SIDE_VARIANCE = 0.1, 0.2
MEAN_BGR = (104.0, 117.0, 123.0)
NMS_OVERLAP = 0.4
_LEAK = 0.1


def _conv(
    inputs: int, outputs: int, side: int = 3, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, side, stride, side // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outputs)]


def _block(inputs: int, outputs: int, side: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(*_conv(inputs, outputs, side, stride), nn.LeakyReLU(_LEAK))


def _separable(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    depthwise = _conv(inputs, inputs, 3, stride, groups=inputs)
    pointwise = _conv(inputs, outputs, 1)
    return nn.Sequential(*depthwise, nn.LeakyReLU(_LEAK), *pointwise, nn.LeakyReLU(_LEAK))


class _Body(nn.Module):
    """MobileNetV1 x 0.25 without its classifier: features at strides 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(
            _block(3, 8, stride=2),
            _separable(8, 16),
            _separable(16, 32, 2),
            _separable(32, 32),
            _separable(32, 64, 2),
            _separable(64, 64),
        )
        self.stage2 = nn.Sequential(
            _separable(64, 128, 2), *(_separable(128, 128) for _ in range(5))
        )
        self.stage3 = nn.Sequential(_separable(128, 256, 2), _separable(256, 256))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        fine = self.stage1(images)
        middle = self.stage2(fine)
        return fine, middle, self.stage3(middle)


class _Pyramid(nn.Module):
    """Feature pyramid: each coarser level is upsampled and added to the finer one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.output1, self.output2, self.output3 = (
            _block(inputs, width, 1) for inputs in (64, 128, 256)
        )
        self.merge1, self.merge2 = _block(width, width), _block(width, width)

    def forward(self, levels: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        fine, middle, coarse = (
            self.output1(levels[0]),
            self.output2(levels[1]),
            self.output3(levels[2]),
        )
        middle = self.merge2(middle + F.interpolate(coarse, size=middle.shape[-2:]))
        fine = self.merge1(fine + F.interpolate(middle, size=fine.shape[-2:]))
        return fine, middle, coarse


class _Context(nn.Module):
    """SSH context module: parallel windows of 3, 5 and 7 pixels, made of 3 x 3 convolutions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half, quarter = width // 2, width // 4
        self.conv3X3 = nn.Sequential(*_conv(width, half))
        self.conv5X5_1 = _block(width, quarter)
        self.conv5X5_2 = nn.Sequential(*_conv(quarter, quarter))
        self.conv7X7_2 = _block(quarter, quarter)
        self.conv7x7_3 = nn.Sequential(*_conv(quarter, quarter))

    def forward(self, features: Tensor) -> Tensor:
        shared = self.conv5X5_1(features)
        wide = self.conv7x7_3(self.conv7X7_2(shared))
        return torch.cat([self.conv3X3(features), self.conv5X5_2(shared), wide], dim=1).relu()


class _Head(nn.Module):
    """Predict ``numbers`` values for each of the two anchors of a cell."""

    def __init__(self, width: int, numbers: int) -> None:
        super().__init__()
        self.numbers = numbers
        self.conv1x1 = nn.Conv2d(width, 2 * numbers, 1)

    def forward(self, features: Tensor) -> Tensor:
        return self.conv1x1(features).permute(0, 2, 3, 1).reshape(len(features), -1, self.numbers)


class RetinaFaceMobileNet(nn.Module):
    """The network: predictions for every anchor, levels from fine to coarse."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.body, self.fpn = _Body(), _Pyramid(width)
        self.ssh1, self.ssh2, self.ssh3 = (_Context(width) for _ in STRIDES)
        self.ClassHead, self.BboxHead, self.LandmarkHead = (
            nn.ModuleList(_Head(width, numbers) for _ in STRIDES) for numbers in (2, 4, 10)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the network.

        Args:
            images: float (B, 3, H, W), BGR in [0, 255] minus ``MEAN_BGR``.

        Returns:
            Scores (B, N) in [0, 1], box offsets (B, N, 4) and point offsets (B, N, 10), in the
            order of :func:`list_anchors`.
        """
        levels = self.fpn(self.body(images))
        contexts = (self.ssh1, self.ssh2, self.ssh3)
        features = [context(level) for context, level in zip(contexts, levels, strict=True)]
        outputs = [
            torch.cat([head(level) for head, level in zip(heads, features, strict=True)], dim=1)
            for heads in (self.ClassHead, self.BboxHead, self.LandmarkHead)
        ]
        return outputs[0].softmax(dim=-1)[..., 1], outputs[1], outputs[2]


def list_anchors(height: int, width: int) -> Tensor:
    """Return centre x, centre y and side of every anchor of an image, float32 (N, 3), in pixels.

    There are two squares at the centre of each cell of each level's grid: row by row, fine to
    coarse.
    """
    anchors = []
    for stride, sides in zip(STRIDES, ANCHOR_SIDES, strict=True):
        rows, columns = -(-height // stride), -(-width // stride)
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        centres = (torch.stack([x, y], dim=-1).float() + 0.5) * stride
        places = centres[:, :, None].expand(-1, -1, len(sides), -1)
        extent = torch.tensor(sides, dtype=torch.float32).expand(rows, columns, -1)[..., None]
        anchors.append(torch.cat([places, extent], dim=-1).reshape(-1, 3))
    return torch.cat(anchors)


def decode(anchors: Tensor, offsets: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Convert the network's offsets into boxes and points.

    One unit moves centres and points by 0.1 of the anchor's side, and scales sides by exp(0.2).

    Args:
        anchors: (N, 3), as in :func:`list_anchors`.
        offsets: (N, 4), of centre, width and height.
        places: (N, 10), offsets of five points.

    Returns:
        Boxes (N, 4) as left, top, right, bottom, and points (N, 5, 2), in the anchors' pixels.
    """
    centres, sides = anchors[:, :2], anchors[:, 2:]
    middles = centres + CENTRE_VARIANCE * offsets[:, :2] * sides
    halves = sides * (SIDE_VARIANCE * offsets[:, 2:]).exp() / 2
    points = centres[:, None] + CENTRE_VARIANCE * places.reshape(-1, 5, 2) * sides[:, None]
    return torch.cat([middles - halves, middles + halves], dim=1), points


class RetinaFaceMobileNetDetector:
    """RetinaFace mobilenet 0.25 as a :class:`~focus.data.face_detection.FaceDetector`.

    An image is scaled down to 1280 pixels on its longer side.

    Args:
        weights: its state dict.
        threshold: lowest score of a face, in [0, 1].

    Raises:
        InputError: the file has other weights, or objects that are not tensors.
    """

    def __init__(self, weights: Path, threshold: float = 0.7) -> None:
        self._network, self._threshold = RetinaFaceMobileNet(), threshold
        try:
            state = torch.load(weights, map_location="cpu", weights_only=True)
            # Prefix of DataParallel.
            state = {name.removeprefix("module."): value for name, value in state.items()}
            self._network.load_state_dict(state)
        except (
            OSError,
            EOFError,
            RuntimeError,
            ValueError,
            AttributeError,
            UnpicklingError,
        ) as error:
            reason = str(error).splitlines()[0].rstrip(":")
            raise InputError(
                f"--face-detector-weights {weights}: not RetinaFace mobilenet 0.25 ({reason})"
            ) from None
        self._network.eval()

    def detect(self, image: np.ndarray) -> list[FaceBox]:
        """Return the faces of an image (uint8 (H, W, 3), RGB), the largest first."""
        scale = min(LARGEST_SIDE / max(image.shape[:2]), 1.0)
        if scale < 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        pixels = image[..., ::-1].astype(np.float32) - np.array(MEAN_BGR, np.float32)
        with torch.inference_mode():
            outputs = self._network(torch.from_numpy(pixels).permute(2, 0, 1)[None])
        scores, offsets, places = (output[0] for output in outputs)
        likely = scores >= self._threshold
        anchors = list_anchors(*image.shape[:2])[likely]
        boxes, points = decode(anchors, offsets[likely], places[likely])
        best = nms(boxes, scores[likely], NMS_OVERLAP)
        found = zip(boxes[best] / scale, scores[likely][best], points[best] / scale, strict=True)
        faces = [_to_face(box, score, five) for box, score, five in found]
        return sorted(faces, key=lambda face: -face.area)


def _to_face(box: Tensor, score: Tensor, points: Tensor) -> FaceBox:
    left, top, right, bottom = box.tolist()
    return FaceBox(left, top, right, bottom, float(score), points.numpy())
