"""A corpus with planted faults."""

from __future__ import annotations

import cv2
import numpy as np

from focus.data.index import Face
from focus.runtime import Runtime

SIZE = 64
QUIET = Runtime(quiet=True)


def draw_image(seed, height=SIZE, width=SIZE):
    """Smooth patches of colour: no two seeds look alike."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (12, 12, 3)).astype(np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def save(path, image, quality=90):
    path.parent.mkdir(parents=True, exist_ok=True)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if path.suffix == ".jpg" else []
    assert cv2.imwrite(str(path), image, options)


def disc(height=SIZE, width=SIZE):
    mask = np.zeros((height, width), np.uint8)
    return cv2.circle(mask, (width // 2, height // 2), 12, 255, -1)


def spoil(path):
    """Cut the middle out of a JPEG; its header and its end stay."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3] + data[-2:])


def pairs(root, count=10, quality=(90, 90), split="train", start=0):
    """Write real faces and fakes of them with a disc as mask; return their rows."""
    faces = []
    for number in range(start, start + count):
        video = f"v{number}"
        image = draw_image(number)
        real, fake, mask = f"a/{video}.jpg", f"b/{video}x.jpg", f"m/{video}.png"
        save(root / real, image, quality[0])
        forged = image.copy()
        forged[disc() > 0] = draw_image(1000 + number)[disc() > 0]
        save(root / fake, forged, quality[1])
        save(root / mask, disc())
        faces.append(Face(real, 0, split, video=video))
        faces.append(Face(fake, 1, split, "swap", video, mask, real))
    return faces


def found(examination, check, words=""):
    """Return the one finding of a check whose message has these words."""
    matches = [f for f in examination.findings if f.check == check and words in f.message]
    assert len(matches) == 1, [(f.check, f.message) for f in examination.findings]
    return matches[0]


def pairs_rows(root):
    names = sorted(path.relative_to(root).as_posix() for path in root.glob("[ab]/*.jpg"))
    return [Face(name, int(name.startswith("b/"))) for name in names]
