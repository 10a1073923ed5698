"""Render a portrait: face, head, light, hair, clothes, background and camera grain."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from focus.data.demo.face import REACH, SIDE, paint_face
from focus.data.demo.hair import paint_hair
from focus.data.demo.head import Light, light_skin, look_up, wrap
from focus.data.demo.people import Person, Shot, draw_person, draw_shot
from focus.data.demo.surroundings import paint_background, paint_body, paint_ear


@dataclass(frozen=True)
class Portrait:
    """A drawn image and its parameters.

    image: uint8 (H, W, 3), RGB, with camera grain, never compressed.
    head: bool (H, W), the head with its hair.
    face_x, face_y: float32 (H, W), the point of the flat face at every pixel, in half head
        heights from the middle of the head (eyes at y = 0.03, mouth at 0.66, chin at 1).
    person, shot: the person and the shooting conditions.
    """

    image: np.ndarray
    head: np.ndarray
    face_x: np.ndarray
    face_y: np.ndarray
    person: Person
    shot: Shot


def draw_face(rng: np.random.Generator, size: int, person: Person | None = None) -> Portrait:
    """Draw a portrait, ``size`` pixels square, of a given or random person."""
    person = draw_person(rng) if person is None else person
    return render(person, draw_shot(rng), size)


def render(person: Person, shot: Shot, size: int) -> Portrait:
    """Draw one image of a person; the same arguments give the same image."""
    flat, relief = paint_face(person, shot)
    surface = wrap(person, shot, size, relief)
    light = Light.of(shot)
    canvas = paint_background(shot, size, np.random.default_rng(shot.seed))
    hair = paint_hair(person, surface, light)
    near = -1.0 if shot.yaw > 0 else 1.0
    _cover(canvas, hair.back, hair.back_alpha)
    paint_body(canvas, person, shot, surface, light)
    paint_ear(canvas, person, shot, surface, light, -near)
    # Average down to the resolution of the output first, so that thin lines do not break up.
    finest = min(SIDE, round(2.4 * REACH * shot.scale * size))
    flat = cv2.resize(flat, (finest, finest), interpolation=cv2.INTER_AREA)
    seen = look_up(flat, surface.face_x, surface.face_y)
    lit, shine = light_skin(surface, light)
    lit *= hair.shade[..., None]
    skin = np.square(seen[..., :3]) * lit + (seen[..., 3] * shine)[..., None]
    _cover(canvas, skin, surface.inside)
    paint_ear(canvas, person, shot, surface, light, near)
    _cover(canvas, hair.front, hair.front_alpha)
    behind = hair.back_alpha * (surface.y < 1.1)
    head = np.maximum(np.maximum(surface.inside, hair.front_alpha), behind) > 0.5
    return Portrait(expose(canvas, shot), head, surface.face_x, surface.face_y, person, shot)


def expose(canvas: np.ndarray, shot: Shot) -> np.ndarray:
    """Simulate a camera: lens blur, vignette, tone curve, and spatially correlated grain.

    Args:
        canvas: linear light, float32 (H, W, 3), RGB.
        shot: exposure, blur and grain.

    Returns:
        uint8 (H, W, 3), RGB. Pure black and white are avoided, so that grain is visible everywhere.
    """
    height, width = canvas.shape[:2]
    rng = np.random.default_rng(shot.grain_seed)
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None] ** 2
    right = np.linspace(-1, 1, width, dtype=np.float32)[None, :] ** 2
    image = cv2.GaussianBlur(canvas, (0, 0), shot.blur)
    image = image * (shot.exposure * (1 - 0.10 * (down + right)))[..., None]
    image = np.sqrt(np.clip(image, 0, None))
    image = 0.035 + 0.90 * image / (1 + 0.8 * np.clip(image - 0.75, 0, None))
    grain = rng.standard_normal((height, width, 1), dtype=np.float32)
    grain = grain + 0.55 * rng.standard_normal((height, width, 3), dtype=np.float32)
    grain += 0.5 * cv2.GaussianBlur(grain, (3, 3), 0.6)
    level = 0.72 * shot.grain * (1.15 - 0.45 * image.mean(-1, keepdims=True))
    return np.clip(np.rint(image * 255 + grain * level), 0, 255).astype(np.uint8)


def _cover(canvas: np.ndarray, layer: np.ndarray, alpha: np.ndarray) -> None:
    canvas += (layer - canvas) * alpha[..., None]
