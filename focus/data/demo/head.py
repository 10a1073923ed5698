"""The head as a surface: map pixels to the flat face, and light them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from focus.data.demo.face import REACH, UNIT, soft
from focus.data.demo.people import Person, Shot

Softness = tuple[float, float, float]

SKIN_SOFTNESS: Softness = (0.42, 0.28, 0.22)
"""Light wrap around skin, per channel (RGB): blood scatters red the furthest."""


@dataclass(frozen=True)
class Surface:
    """The surface at every pixel. Arrays are float32 (N, N), lengths in half head heights.

    ``x, y``: from the head's centre, upright. ``face_x, face_y``: the visible point of the flat
    face. ``height``: towards the camera. ``inside``: coverage by the head, in [0, 1].
    ``pixel``: the width of a pixel.
    """

    x: np.ndarray
    y: np.ndarray
    face_x: np.ndarray
    face_y: np.ndarray
    height: np.ndarray
    inside: np.ndarray
    pixel: float

    def edge(self, distance: np.ndarray) -> np.ndarray:
        """Return the antialiased coverage, float32 in [0, 1], of the area ``distance`` > 0."""
        return soft(distance * (0.7 / self.pixel) + 0.5)


@dataclass(frozen=True)
class Light:
    """One lamp and ambient light; ``direction`` is a unit vector towards the lamp."""

    direction: np.ndarray
    key: np.ndarray
    ambient: np.ndarray

    @classmethod
    def of(cls, shot: Shot) -> Light:
        """Return the light of an image; a lamp from the side is brighter, to compensate."""
        direction = np.array(shot.light, dtype=np.float32)
        strength = shot.key / (0.35 + 0.65 * max(shot.light[2], 0.3))
        key = np.array(shot.key_colour, dtype=np.float32) * strength
        ambient = np.array(shot.ambient_colour, dtype=np.float32) * (1.02 - shot.key)
        return cls(direction, key, ambient)

    def on(
        self, normal: np.ndarray, softness: Softness, lamp: np.ndarray | float = 1.0
    ) -> np.ndarray:
        """Return the linear light on surfaces, float32 (N, N, 3).

        ``normal`` is float32 (N, N, 3), of any length; ``lamp`` is the lamp's unshadowed fraction.
        """
        length = np.sqrt(np.einsum("ijk,ijk->ij", normal, normal))
        facing = (normal @ self.direction) / length
        sky = 0.75 - 0.25 * normal[..., 1] / length
        out = np.empty(normal.shape, dtype=np.float32)
        for channel, soften in enumerate(softness):
            beam = np.clip((facing + soften) * (1 / (1 + soften)), 0, None)
            out[..., channel] = float(self.key[channel]) * beam * lamp
            out[..., channel] += float(self.ambient[channel]) * sky
        return out


def wrap(person: Person, shot: Shot, side: int, relief: np.ndarray) -> Surface:
    """Map the flat face to a rotated head in an image ``side`` pixels wide.

    ``relief`` is float32 (SIDE, SIDE) from :func:`focus.data.demo.face.paint_face`; raised
    parts (the nose) move with the rotation.
    """
    scale = shot.scale * side
    line = np.arange(side, dtype=np.float32) + 0.5
    right = (line[None, :] - shot.centre[0] * side) / scale
    down = (line[:, None] - shot.centre[1] * side) / scale
    cos, sin = math.cos(shot.roll), math.sin(shot.roll)
    x, y = right * cos + down * sin, down * cos - right * sin
    profile = _half_width(person, y)
    fall = 1 - np.clip(-y, 0, 1) ** 2.4 - np.clip(y, 0, 1) ** 5
    ball = np.clip(1 - (np.abs(x) / np.maximum(profile, 1e-3)) ** 2.3, 0, None)
    smooth = 0.74 * np.sqrt(ball * np.clip(fall, 0, None))
    inside = soft((profile - np.abs(x)) * scale * 0.8 + 0.5) * soft((1 - np.abs(y)) * scale * 1.5)
    yaw, turn, pitch = math.sin(shot.yaw), math.cos(shot.yaw), math.sin(shot.pitch)
    height = smooth
    for _ in range(3):
        face_x = x * turn - height * yaw
        face_y = y - (x * yaw + height * turn) * pitch
        height = smooth + look_up(relief, face_x, face_y)
    return Surface(x, y, face_x, face_y, height, inside, 1 / scale)


def look_up(flat: np.ndarray, face_x: np.ndarray, face_y: np.ndarray) -> np.ndarray:
    """Return the values of a flat canvas at points of the face."""
    unit = UNIT * flat.shape[0] / (2 * REACH * UNIT)
    at_x, at_y = (face_x + REACH) * unit - 0.5, (face_y + REACH) * unit - 0.5
    return cv2.remap(flat, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def light_skin(surface: Surface, light: Light) -> tuple[np.ndarray, np.ndarray]:
    """Return the light on the head, float32 (N, N, 3), and its highlights, float32 (N, N)."""
    pixel = surface.pixel
    normal = _normals(cv2.GaussianBlur(surface.height, (0, 0), 0.006 / pixel), pixel)
    around = cv2.GaussianBlur(surface.height, (0, 0), 0.07 / pixel)
    hollow = np.clip(1 - 4.5 * np.clip(around - surface.height, 0, None), 0.45, 1)
    lit = light.on(normal, SKIN_SOFTNESS, _unshadowed(surface, light)) * hollow[..., None]
    halfway = light.direction + np.array([0, 0, 1], dtype=np.float32)
    facing = np.clip(normal @ (halfway / np.linalg.norm(halfway)), 0, 1) ** 16
    return lit, (0.07 * facing + 0.20 * facing**3) * float(light.key.mean())


def _half_width(person: Person, y: np.ndarray) -> np.ndarray:
    """Return half the head's width at heights ``y``; 0 above the skull and below the chin."""
    up, down = np.clip((0.05 - y) / 1.05, 0, 1), np.clip((y - 0.05) / 0.95, 0, 1)
    skull = np.sqrt(1 - up**2.3)
    cheek = 1 - (1 - person.jaw) * soft(down * 1.05)
    chin = np.sqrt(np.clip(1 - down**person.chin, 0, None))
    return person.width * np.where(y < 0.05, skull, cheek * chin)


def _normals(height: np.ndarray, pixel: float) -> np.ndarray:
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3) * (1 / (8 * pixel))
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3) * (1 / (8 * pixel))
    normal = np.stack([-slope_x, -slope_y, np.ones_like(height)], axis=-1)
    return normal / np.sqrt(np.einsum("ijk,ijk->ij", normal, normal))[..., None]


def _unshadowed(surface: Surface, light: Light) -> np.ndarray:
    """Return the unshadowed fraction of the lamp, float32 (N, N), by ray marching."""
    x, y, up = (float(value) for value in light.direction)
    flat = math.hypot(x, y) + 1e-6
    height, size = surface.height, surface.height.shape[::-1]
    blocked = np.zeros_like(height)
    for distance in (0.05, 0.10, 0.16, 0.24):
        step = distance / surface.pixel / flat
        shift = np.array([[1, 0, -x * step], [0, 1, -y * step]])
        there = cv2.warpAffine(height, shift, size, borderMode=cv2.BORDER_REPLICATE)
        blocked = np.maximum(blocked, there - height - distance * up / flat)
    return 1 - 0.5 * cv2.GaussianBlur(soft(blocked * (1 / 0.06)), (0, 0), 0.03 / surface.pixel)
