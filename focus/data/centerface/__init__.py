"""CenterFace (Xu et al., 2019), the face detector that comes with this package.

``centerface.onnx`` (3.7 MB, MIT; see ``LICENSE``) is the authors' network with kernels in half
precision: no download, no other package, run by OpenCV.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from focus.data.cropping import FaceBox
from focus.data.videos import silence_opencv
from focus.errors import InputError

WEIGHTS = Path(__file__).with_name("centerface.onnx")
LONGEST, SHORTEST = 640, 224
"""Longer side, in pixels, to which larger and smaller images are resized."""
_STRIDE = 32
_CELL = 4  # pixels of the input per position of the output
_OUTPUTS = ("537", "538", "539", "540")  # heat map, log size, offset, points
_OVERLAP = 0.3
_MOST = 5000  # candidates passed to non-maximum suppression


class CenterFaceDetector:
    """CenterFace, run by OpenCV: about 0.15 s for a photograph on one core.

    An image is resized to 640 pixels on its longer side if it is larger, and to 224 if it is
    smaller. Faces of 10 pixels at that size are found; a small face has a lower score.

    Args:
        weights: another ONNX file of this network; None: the built-in one.
        threshold: lowest score of a face, in [0, 1].
        longest: longer side to which a larger image is reduced; 320 is three times as fast.

    Raises:
        InputError: a file that is not CenterFace.
    """

    def __init__(
        self, weights: Path | None = None, threshold: float = 0.5, longest: int = LONGEST
    ) -> None:
        self._threshold, self._longest = threshold, longest
        try:
            with silence_opencv():
                self._network = cv2.dnn.readNetFromONNX(str(weights or WEIGHTS))
                self._forward(np.zeros((_STRIDE, _STRIDE, 3), np.uint8))
        except (cv2.error, ValueError):
            raise InputError(
                f"--face-detector-weights {weights or WEIGHTS}: not a CenterFace ONNX file; name "
                "the file's detector with --face-detector"
            ) from None

    def detect(self, image: np.ndarray) -> list[FaceBox]:
        """Return the faces of an image (uint8 (H, W, 3), RGB), the largest first."""
        height, width = image.shape[:2]
        longer = max(height, width)
        scale = min(max(longer, SHORTEST), self._longest) / longer
        rows, columns = (
            max(round(side * scale / _STRIDE), 1) * _STRIDE for side in (height, width)
        )
        shrinks = rows * columns < height * width
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        resized = cv2.resize(image, (columns, rows), interpolation=method)
        heat, size, offset, points = self._forward(resized)
        down, right = np.nonzero(heat[0] > self._threshold)
        if len(down) > _MOST:
            best = np.argsort(-heat[0, down, right], kind="stable")[:_MOST]
            down, right = down[best], right[best]
        scores = heat[0, down, right]
        sides = np.exp(np.minimum(size[:, down, right], 10)) * _CELL  # (2, N): height, width
        centres = (np.stack([down, right]) + offset[:, down, right] + 0.5) * _CELL
        corners = centres - sides / 2
        places = points[:, down, right].reshape(5, 2, -1) * sides + corners  # y, x of each point
        growth = np.array([height / rows, width / columns])
        kept = _suppress(corners, sides, scores, self._threshold)
        faces = []
        for at in kept:
            top, left = (corners[:, at] * growth).tolist()
            bottom, end = ((corners[:, at] + sides[:, at]) * growth).tolist()
            marks = (places[:, :, at] * growth)[:, ::-1].astype(np.float32)
            faces.append(FaceBox(left, top, end, bottom, float(scores[at]), marks))
        return sorted(faces, key=lambda face: -face.area)

    def _forward(self, image: np.ndarray) -> list[np.ndarray]:
        """Return heat map (1, h, w), log size, offset (2, h, w) and points (10, h, w)."""
        self._network.setInput(cv2.dnn.blobFromImage(image))
        heat, size, offset, points = self._network.forward(_OUTPUTS)
        return [np.asarray(output[0], np.float32) for output in (heat, size, offset, points)]


def _suppress(
    corners: np.ndarray, sides: np.ndarray, scores: np.ndarray, threshold: float
) -> list[int]:
    """Return the indices of the boxes that overlap no better one."""
    if not len(scores):
        return []
    boxes = np.concatenate([corners[::-1], sides[::-1]]).T  # left, top, width, height
    found = cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), threshold, _OVERLAP)
    return np.asarray(found).reshape(-1).tolist()
