"""The model behind ``focus.load``, ``focus look`` and ``focus app``."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import cv2
import numpy as np
import torch
from torch import Tensor

from focus.data.cropping import Box, FaceBox, crop, resize
from focus.data.face_detection import DEFAULT_FACE_DETECTOR, enlarge, open_face_detector
from focus.data.images import read_face, split_path
from focus.data.pillow import to_pixels
from focus.data.videos import VIDEO_SUFFIXES
from focus.errors import InputError, UnreadableError, shorten
from focus.generators.contract import Generator
from focus.generators.mirrored import join_mirrored
from focus.generators.registry import GENERATORS
from focus.generators.trained import TrainedGenerator
from focus.model.clips import ClipResult, watch
from focus.model.quality import measure_quality
from focus.model.results import Face, Result
from focus.model.verdicts import UNSURE
from focus.released.catalogue import DEFAULT_MODEL
from focus.released.contents import Limits, ReleasedModel
from focus.released.features import FeatureStatistics, find_module, pooled_features
from focus.released.format import read_released
from focus.runs import Run, read_run
from focus.runtime import find_device

if TYPE_CHECKING:
    from PIL import Image

Crop = Literal["faces", "frame"]
_BATCH = 16
_MOST_FACES = 64


class FaceModel:
    """A trained model: faces of an image in, scores, verdicts and maps out.

    Attributes:
        name: name of the released model, or the run folder.
        record: record of the released model; for a run folder one without calibration, so that
            every verdict is ``cannot say``.

    Example:
        >>> import focus
        >>> model = focus.load("runs/mine")
        >>> result = model("photo.jpg")
        >>> face = result.faces[0]
        >>> face.verdict, face.reason
        ('cannot say', 'the model is not calibrated: its score is not a probability')
        >>> face.map_at((224, 224)).shape
        (224, 224)
        >>> result.overlay().save("out.png")
    """

    def __init__(
        self, run: Run, *, crop: Crop = "faces", face_detector: str = "", device: str = "auto"
    ) -> None:
        if crop not in ("faces", "frame"):
            raise InputError(f"crop {crop!r}: use faces or frame")
        self.device, self.crop = find_device(device), crop
        self.record, self._features = _read_record(run)
        self.name = self.record.name
        self._generator = _open_generator(run).to(self.device).eval()
        self._spec = self._generator.input_spec
        self._layer = None
        if self._features is not None:
            self._layer = find_module(_network_of(self._generator), self.record.layer)
        detects = crop == "faces"
        self.detector = (
            open_face_detector(face_detector or DEFAULT_FACE_DETECTOR) if detects else None
        )

    @overload
    def __call__(self, images: str | Path | Image.Image | np.ndarray) -> Result: ...

    @overload
    def __call__(self, images: list[Any] | tuple[Any, ...]) -> list[Result]: ...

    def __call__(self, images: Any) -> Result | list[Result]:
        """Examine an image or a list of images.

        Args:
            images: a path, a PIL image, a uint8 array (H, W, 3), RGB, or a list of these. A path
                may name a frame of a video (``clip.mp4#120``). Grey, transparent and 16-bit images
                are converted as in :func:`~focus.data.images.read_image`.

        Raises:
            InputError: a file that cannot be read, or an array of another type or shape.
        """
        if isinstance(images, (list, tuple)):
            return [self(image) for image in images]
        pixels, source = read_input(images)
        return self.examine(pixels, self.find_faces(pixels), source)

    def find_faces(self, image: np.ndarray) -> list[FaceBox] | None:
        """Return the faces of an image (uint8 (H, W, 3)), the largest first, at most 64.

        None: the whole image is one face (``crop="frame"``).
        """
        return None if self.detector is None else self.detector.detect(image)[:_MOST_FACES]

    def examine(
        self, image: np.ndarray, faces: Sequence[FaceBox] | None, source: str = ""
    ) -> Result:
        """Return scores, verdicts and maps of known faces.

        Args:
            image: uint8 (H, W, 3), RGB.
            faces: from :meth:`find_faces`; None: the whole image is one face.
            source: name of the image.
        """
        height, width = image.shape[:2]
        boxes: list[Box] = [(0, 0, width, height)]
        if faces is not None:
            boxes = [enlarge(face, self.record.margin) for face in faces]
        found: list[Face] = []
        for start in range(0, len(boxes), _BATCH):
            some = boxes[start : start + _BATCH]
            scores, maps, distances = self._predict(image, some)
            known = [None] * len(some) if faces is None else faces[start : start + _BATCH]
            found += [
                self._describe(image, *each)
                for each in zip(some, known, scores, maps, distances, strict=True)
            ]
        return Result(image, tuple(found), source)

    def watch(
        self, path: str | Path, every: int = 0, progress: Callable[[int, int], None] | None = None
    ) -> ClipResult:
        """Examine a video: faces followed over time, and one verdict for each and for the clip.

        Args:
            path: the video.
            every: examine every N-th frame; 0: about eight a second, at most 1,000 in all.
            progress: called with the number of frames done and of all.

        Raises:
            InputError: a video that cannot be read.
        """
        return watch(self, Path(path), every, progress)

    def _describe(
        self,
        image: np.ndarray,
        box: Box,
        face: FaceBox | None,
        score: float,
        values: np.ndarray,
        distance: float,
    ) -> Face:
        quality = measure_quality(image, box, face)
        found = Face(box, score, UNSURE, "", values, 0.5, quality, distance, face)
        return found.judged(self.record.limits, self.record.calibration)

    @torch.no_grad()
    def _predict(
        self, image: np.ndarray, boxes: Sequence[Box]
    ) -> tuple[list[float], list[np.ndarray], list[float]]:
        """Return scores, maps float32 (h, w) and distances of the crops of an image."""
        crops = [self._cut(image, box) for box in boxes]
        batch = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).to(self.device)
        if self._spec.frames > 1:  # a detector of clips gets a still one
            batch = batch[:, :, None].expand(-1, -1, self._spec.frames, -1, -1)
        distances = [math.nan] * len(boxes)
        images = self._spec.standardise(batch)
        if self.record.mirror:
            images = torch.cat([images, images.flip(-1)])
        if self._layer is None or self._features is None:
            prediction = self._generator.predict(images)
        else:
            with pooled_features(self._layer) as seen:
                prediction = self._generator.predict(images)
            try:
                distances = self._features.distance(seen[-1][: len(boxes)]).tolist()
            except (IndexError, ValueError):
                raise InputError(
                    f"{self.name}: its feature statistics do not fit its network"
                ) from None
        scores = prediction.scores.float().cpu()
        maps = self._flatten(prediction.maps, scores)
        if self.record.mirror:
            count = len(boxes)
            scores, maps = join_mirrored(scores[:count], maps[:count], scores[count:], maps[count:])
        if not (torch.isfinite(scores).all() and torch.isfinite(maps).all()):
            raise InputError(f"{self.name}: its scores or maps are NaN: damaged weights")
        return scores.clamp(0, 1).tolist(), list(maps.clamp(0, 1).numpy()), distances

    def _flatten(self, maps: Tensor | None, scores: Tensor) -> Tensor:
        """Return maps (B, h, w): of a clip, the middle frame's; without maps, the score."""
        if maps is None:
            return scores[:, None, None]
        if maps.ndim == 5:
            maps = maps[:, :, maps.shape[2] // 2]
        return maps[:, 0].float().cpu()

    def _cut(self, image: np.ndarray, box: Box) -> np.ndarray:
        """Return the crop of a box, resized to the network's input."""
        side = self._spec.image_size or max(box[3] - box[1], 1)
        part = image if self.detector is None else crop(image, box)
        return np.ascontiguousarray(resize(part, side))

    def __repr__(self) -> str:
        return f"FaceModel({self.name!r}, {self.record.detector}, {self.device})"


def load(
    weights: str | Path | None = None,
    *,
    crop: Crop = "faces",
    face_detector: str = "",
    device: str = "auto",
) -> FaceModel:
    """Load a model for photographs.

    Args:
        weights: name of a released model, its file, the run folder of any detector, or one on the
            Hugging Face Hub, ``hf:owner/name``; None: the released model that is built in.
        crop: ``faces``: examine each face that is detected; ``frame``: each image is one face.
        face_detector: name of the face detector; empty: the built-in one.
        device: auto (a CUDA GPU if available, else the CPU), or a torch device.

    Raises:
        InputError: no such model, or weights that do not fit.

    Example:
        >>> import focus
        >>> focus.load("no-such-model")
        Traceback (most recent call last):
        ...
        focus.errors.InputError: no-such-model: no such run folder or weights file, nor a ...
    """
    if not isinstance(weights, (str, os.PathLike, type(None))):
        raise InputError(f"load({shorten(repr(weights), 40)}): give a name, a file or a run folder")
    run = read_run(Path(DEFAULT_MODEL if weights is None else weights))
    return FaceModel(run, crop=crop, face_detector=face_detector, device=device)


def read_input(image: Any) -> tuple[np.ndarray, str]:
    """Return an image as uint8 (H, W, 3), RGB, and the file it is from.

    Raises:
        InputError: a file that cannot be read, or an array of another type or shape.
    """
    if isinstance(image, (str, os.PathLike)):
        path = str(image)
        if path.lower().endswith(VIDEO_SUFFIXES):
            raise InputError(f"{path}: a video; use watch(path), or name a frame: {path}#0")
        try:
            name = split_path(path)
            whole = path if name.face is None else path.rpartition(".")[0]
            return read_face(Path(), path if Path(path).is_file() else whole), path
        except UnreadableError as error:
            raise InputError(f"{path}: {error}") from None
    if hasattr(image, "convert") and hasattr(image, "getbands"):  # a PIL image
        try:
            pixels = to_pixels(image)
        except (UnreadableError, OSError, ValueError) as error:
            raise InputError(f"PIL image: {shorten(error, 120)}") from None
        if pixels.dtype == np.uint16:
            pixels = cv2.convertScaleAbs(pixels, alpha=1 / 257)
        return np.ascontiguousarray(pixels), str(getattr(image, "filename", "") or "")
    if not isinstance(image, np.ndarray):
        kind = type(image).__name__
        raise InputError(f"{kind}: give a path, a PIL image or a uint8 array (H, W, 3)")
    if image.dtype != np.uint8:
        advice = "; multiply values in [0, 1] by 255" if image.dtype.kind == "f" else ""
        raise InputError(f"image array of {image.dtype}: give uint8 in [0, 255]{advice}")
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InputError(f"image array of shape {image.shape}: give (H, W, 3), RGB")
    return np.ascontiguousarray(image), ""


def _read_record(run: Run) -> tuple[ReleasedModel, FeatureStatistics | None]:
    if run.is_released:
        content = read_released(run.weights)
        return content.model, content.features
    limits = Limits()
    name = run.weights.parent.name or str(run.weights.parent)
    record = ReleasedModel(name, run.kind, run.network, limits=limits, trained_on=run.trained_on)
    return replace(record, margin=run.margin or record.margin), None


def _open_generator(run: Run) -> Generator:
    """Return the network as a generator; one without maps is explained by Grad-CAM."""
    trained = TrainedGenerator(run, {})
    spec = trained.input_spec
    size = spec.image_size or 64
    shape = (1, 3, spec.frames, size, size) if spec.frames > 1 else (1, 3, size, size)
    with torch.no_grad():
        has_maps = trained.network.predict(torch.zeros(shape)).maps is not None
    if has_maps or spec.frames > 1:
        return trained
    return GENERATORS.get("gradcam").load(run.weights, {})


def _network_of(generator: Any) -> torch.nn.Module:
    return generator.network if hasattr(generator, "network") else generator.explained.network
