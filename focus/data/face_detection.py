"""Face detectors with a common interface: boxes and five points."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Protocol

import cv2
import numpy as np

from focus.data.cropping import LARGEST_SIDE, FaceBox
from focus.data.videos import silence_opencv
from focus.errors import InputError

WEIGHTS_VARIABLE = "FOCUS_DETECTOR_WEIGHTS"
SMALLEST_SIDE = 320
DEFAULT_FACE_DETECTOR = "centerface"
DEFAULT_MARGIN = 1.3
"""Side of a face crop divided by the longer side of the detected box."""
_DOWNLOADS = {  # detector -> file to download
    "yunet": "https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/"
    "face_detection_yunet_2023mar.onnx",
    "retinaface": "https://github.com/ternaus/retinaface/releases/download/0.01/"
    "retinaface_resnet50_2020-07-20-f168fae3c.zip",
    "retinaface-mobilenet": "mobilenet0.25_Final.pth, linked from "
    "https://github.com/biubug6/Pytorch_Retinaface",
}
FACE_DETECTORS = (DEFAULT_FACE_DETECTOR, *_DOWNLOADS)


class FaceDetector(Protocol):
    """Interface of a face detector."""

    def detect(self, image: np.ndarray) -> list[FaceBox]:
        """Return the faces of an image (uint8 (H, W, 3), RGB), the largest first."""


def check_face_detector(name: str) -> None:
    """Check the value of ``--face-detector``.

    Raises:
        InputError: an unknown name.
    """
    if name not in FACE_DETECTORS:
        raise InputError(f"--face-detector {name}: use {', '.join(FACE_DETECTORS)}")


def open_face_detector(name: str, weights: Path | str | None = None) -> FaceDetector:
    """Return a detector by name.

    Args:
        name: one of ``FACE_DETECTORS``.
        weights: its weights file; None: ``$FOCUS_DETECTOR_WEIGHTS``. Optional for ``centerface``,
            which is built in and ignores the variable, and ``retinaface`` (ResNet-50).

    Raises:
        InputError: an unknown name, a missing or invalid weights file, or a missing package.
    """
    if name not in FACE_DETECTORS:
        raise InputError(f"--face-detector {name}: unknown; use {' or '.join(FACE_DETECTORS)}")
    if name == DEFAULT_FACE_DETECTOR:
        file, advice = Path(weights) if weights else None, "leave it out for the built-in file"
    else:
        weights = weights or os.environ.get(WEIGHTS_VARIABLE, "")
        file = Path(weights) if weights else None
        advice = (
            f"download {_DOWNLOADS[name]} and pass it with --face-detector-weights FILE or "
            f"${WEIGHTS_VARIABLE}"
        )
    if file and not file.is_file():
        raise InputError(f"no detector weights at {weights}; {advice}")
    if name == DEFAULT_FACE_DETECTOR:
        from focus.data.centerface import CenterFaceDetector

        return CenterFaceDetector(file)
    if name == "retinaface":
        return RetinaFaceDetector(file)
    if not file:
        raise InputError(f"--face-detector {name} needs a weights file; {advice}")
    if name == "yunet":
        return YuNetDetector(file)
    from focus.data.retinaface import RetinaFaceMobileNetDetector  # imports torch

    return RetinaFaceMobileNetDetector(file)


class YuNetDetector:
    """YuNet (Wu et al., 2023), run by OpenCV: about 10 ms for a small image on one core.

    It is designed for faces of 10 to 300 pixels. An image is scaled down to 1280 pixels on its
    longer side, and halved up to twice while no face is found, to detect close-ups too.

    Args:
        weights: the ONNX file.
        threshold: lowest score of a face, in [0, 1].

    Raises:
        InputError: a file that is not YuNet.
    """

    def __init__(self, weights: Path, threshold: float = 0.7) -> None:
        try:
            with silence_opencv():
                self._model = cv2.FaceDetectorYN.create(str(weights), "", (320, 320), threshold)
                self._find(np.zeros((320, 320, 3), np.uint8), 1.0)
        except cv2.error:
            raise InputError(f"--face-detector-weights {weights}: not a YuNet ONNX file") from None

    def detect(self, image: np.ndarray) -> list[FaceBox]:
        """Return the faces of an image (uint8 (H, W, 3), RGB), the largest first."""
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        shorter, longer = sorted(image.shape[:2])
        side = min(longer, LARGEST_SIDE)
        faces = self._find(image, side / longer)
        # OpenCV 4 detects false faces in an image thinner than the network's stride, 32.
        while not faces and side > SMALLEST_SIDE and side * shorter >= 64 * longer:
            side //= 2
            faces = self._find(image, side / longer)
        return sorted(faces, key=lambda face: -face.area)

    def _find(self, image: np.ndarray, scale: float) -> list[FaceBox]:
        if scale < 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        self._model.setInputSize((image.shape[1], image.shape[0]))
        rows = self._model.detect(image)[1]
        return [_from_yunet(row, scale) for row in rows] if rows is not None else []


def _from_yunet(row: np.ndarray, scale: float) -> FaceBox:
    """Parse a row of 15 values: left, top, width, height, five points, score."""
    left, top, width, height = (float(value) for value in row[:4] / scale)
    points = row[4:14].reshape(5, 2) / scale
    return FaceBox(left, top, left + width, top + height, float(row[14]), points)


class RetinaFaceDetector:
    """RetinaFace (Deng et al., 2020), ResNet-50, from the optional package retinaface-pytorch.

    Args:
        weights: its state dict; None: the package's own file, downloaded once by torch.hub.
        threshold: lowest score of a face, in [0, 1].
        device: torch device of the network.

    Raises:
        InputError: the package is missing, or the file has other weights.
    """

    def __init__(
        self, weights: Path | None = None, threshold: float = 0.7, device: str = "cpu"
    ) -> None:
        try:
            from retinaface.pre_trained_models import models
        except ImportError as error:
            raise InputError(
                f"--face-detector retinaface: {error}; pip install 'focus-forgery[retinaface]'"
            ) from None
        import torch

        release = models["resnet50_2020-07-20"]
        try:
            # Not the package's get_model, which unpickles arbitrary objects.
            if weights is None:
                state = torch.hub.load_state_dict_from_url(release.url, weights_only=True)
            else:
                state = torch.load(weights, map_location="cpu", weights_only=True)
            self._model = release.model(max_size=LARGEST_SIDE, device=device)
            self._model.load_state_dict(state)
        except (OSError, EOFError, RuntimeError, ValueError, UnpicklingError) as error:
            reason = str(error).splitlines()[0].rstrip(":")
            raise InputError(
                f"{weights or release.url}: not RetinaFace weights ({reason})"
            ) from None
        self._model.eval()
        self._threshold = threshold

    def detect(self, image: np.ndarray) -> list[FaceBox]:
        """Return the faces of an image (uint8 (H, W, 3), RGB), the largest first."""
        found = self._model.predict_jsons(image, confidence_threshold=self._threshold)
        # The package returns one entry with an empty box for "no face".
        faces = []
        for face in (face for face in found if face["bbox"]):
            left, top, right, bottom = face["bbox"]
            points = np.array(face["landmarks"], np.float32)
            faces.append(FaceBox(left, top, right, bottom, float(face["score"]), points))
        return sorted(faces, key=lambda face: -face.area)


def enlarge(
    box: FaceBox | Sequence[float], factor: float = DEFAULT_MARGIN
) -> tuple[int, int, int, int]:
    """Return the square around a box's centre, ``factor`` times its longer side.

    Returns:
        left, top, right, bottom in pixels, right and bottom excluded; may exceed the image.
    """
    left, top, right, bottom = box[:4]
    side = round(max(right - left, bottom - top) * factor)
    x, y = round((left + right - side) / 2), round((top + bottom - side) / 2)
    return x, y, x + side, y + side
