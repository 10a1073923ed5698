"""Paint background, neck, clothes and ears, in linear light."""

from __future__ import annotations

import math

import cv2
import numpy as np

from focus.data.demo.face import cloud, mix, soft
from focus.data.demo.head import SKIN_SOFTNESS, Light, Surface
from focus.data.demo.people import Person, Shot

_SMALL = 64


def paint_background(shot: Shot, side: int, rng: np.random.Generator) -> np.ndarray:
    """Paint the blurred background: linear, float32 (side, side, 3)."""
    first, second, third = (np.array(colour, dtype=np.float32) for colour in shot.background)
    line = np.linspace(-0.5, 0.5, _SMALL, dtype=np.float32)
    angle = rng.uniform(0, 2 * math.pi)
    ramp = 0.5 + line[None, :] * math.cos(angle) + line[:, None] * math.sin(angle)
    image = first + (second - first) * np.clip(ramp, 0, 1)[..., None]
    blur = rng.uniform(1.5, 3.0)
    if shot.scene == "studio":
        height = rng.uniform(-0.2, 0.1)
        glow = np.exp(-((line[None, :] / 0.5) ** 2) - ((line[:, None] - height) / 0.5) ** 2)
        image *= (0.75 + 0.5 * glow)[..., None]
    elif shot.scene == "room":
        _furnish(image, second, third, rng)
    elif shot.scene == "outdoors":
        _plant(image, third, rng)
    else:
        _hang_lights(image, third, rng)
        blur = 1.0
    image = cv2.GaussianBlur(image, (0, 0), blur)
    image = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
    image *= (1 + 0.05 * cloud(rng, 4, side))[..., None]
    return np.square(np.clip(image, 0.03, 0.95))


def _furnish(
    image: np.ndarray, wood: np.ndarray, wall: np.ndarray, rng: np.random.Generator
) -> None:
    for _ in range(int(rng.integers(3, 8))):
        left, top = (int(value) for value in rng.integers(-10, _SMALL, 2))
        right, bottom = left + int(rng.integers(4, 26)), top + int(rng.integers(10, 50))
        tone = (wall if rng.random() < 0.6 else wood) * rng.uniform(0.5, 1.5)
        cv2.rectangle(image, (left, top), (right, bottom), tone.tolist(), -1)


def _plant(image: np.ndarray, tint: np.ndarray, rng: np.random.Generator) -> None:
    sky = np.array([0.72, 0.78, 0.82], dtype=np.float32) * rng.uniform(0.7, 1.05)
    green = np.array([0.18, 0.23, 0.13], dtype=np.float32) * rng.uniform(0.6, 1.3)
    leaves = (green + 0.4 * tint) * (1 + 0.22 * cloud(rng, 14, _SMALL))[..., None]
    down = np.linspace(0, 1, _SMALL, dtype=np.float32)[:, None]
    edge = down - rng.uniform(0.1, 0.8) + 0.25 * cloud(rng, 5, _SMALL)
    image[:] = sky
    mix(image, leaves, soft(edge / 0.15 + 0.5))


def _hang_lights(image: np.ndarray, tint: np.ndarray, rng: np.random.Generator) -> None:
    image *= 0.55
    for _ in range(int(rng.integers(8, 20))):
        disc = np.zeros((_SMALL, _SMALL), dtype=np.float32)
        x, y = (int(value) for value in rng.integers(0, _SMALL * 16, 2))
        cv2.circle(disc, (x, y), int(rng.uniform(2, 6) * 16), 1.0, -1, cv2.LINE_AA, 4)
        tone = np.clip(tint * rng.uniform(1.0, 2.2) + 0.1, 0, 0.95)
        mix(image, tone, disc * rng.uniform(0.3, 0.8))


def paint_body(
    canvas: np.ndarray, person: Person, shot: Shot, surface: Surface, light: Light
) -> None:
    """Paint neck, shoulders and clothes over a linear float32 (N, N, 3) canvas."""
    lean = shot.roll * 0.65
    cos, sin, low = math.cos(lean), math.sin(lean), surface.y - 0.9
    x, y = surface.x * cos - low * sin, 0.9 + low * cos + surface.x * sin
    x = x - 0.25 * math.sin(shot.yaw) * (0.5 - 0.5 * soft((y - 0.6) / 0.8))
    aside = np.abs(x)
    slim = 0.36 + 0.10 * person.masculine + 0.04 * person.build
    neck = slim + 0.35 * soft((y - 1.08) / 0.45) ** 2
    shoulder = 1.34 - 0.06 * person.masculine + 0.30 * (aside / (1.15 * person.build)) ** 2.2
    opening = {
        "crew": 1.44 - 0.9 * aside**2,
        "vee": 1.75 - 1.15 * aside,
        "shirt": 1.62 - 1.05 * aside,
        "high": 1.13 - 0.25 * aside**2,
    }[person.collar]
    covered, torso = surface.edge(y - opening), surface.edge(y - shoulder)
    bare = np.maximum(surface.edge(neck - aside) * (y > 0.3), torso) * (1 - covered)
    dressed = np.maximum(torso, surface.edge(neck + 0.02 - aside) * (y > 1.0)) * covered

    jaw = 0.98 - 0.5 * np.abs(surface.x / person.width) ** 2.4
    under_chin = 1 - soft((surface.y - jaw + 0.10 * float(light.direction[1])) / 0.34)
    bend = np.clip(x / (neck + 0.02), -0.97, 0.97) * (1 - 0.8 * soft((y - 1.2) / 0.3))
    normal = np.stack([bend, np.full_like(x, 0.12), np.sqrt(1 - bend * bend)], -1)
    lit = light.on(normal, SKIN_SOFTNESS, 1 - 0.7 * under_chin)
    lit *= (1 - 0.45 * under_chin)[..., None]
    skin = np.array(person.skin, dtype=np.float32) * np.array([0.97, 0.93, 0.92], np.float32)
    mix(canvas, skin * skin * lit, bare)
    cloth = _cloth(person, x, y, y - opening, light, 1 - 0.45 * under_chin)
    mix(canvas, cloth, dressed)


def _cloth(
    person: Person,
    x: np.ndarray,
    y: np.ndarray,
    below_collar: np.ndarray,
    light: Light,
    lamp: np.ndarray,
) -> np.ndarray:
    """Return folded, woven cloth with a collar; linear, float32 (N, N, 3)."""
    rng, side = np.random.default_rng((person.seed, 4)), x.shape[0]
    folds = cloud(rng, 6, side)
    tilt = np.clip(x * (0.55 / person.build) + 0.10 * folds, -0.9, 0.9)
    normal = np.stack([tilt, 0.06 * folds - 0.35, np.sqrt(1 - tilt * tilt)], -1)
    weave = 1 + 0.05 * rng.standard_normal((side, side), dtype=np.float32)
    if person.seed % 4 == 0:
        weave *= 1 - 0.3 * (np.sin(y * 40) > 0.3)
    weave *= 1 - 0.3 * (1 - soft(below_collar / 0.10))
    weave *= 1 - 0.35 * np.exp(-(((below_collar - 0.075) / 0.014) ** 2))
    if person.collar == "shirt":
        weave *= 1 + 0.25 * (np.abs(below_collar - 0.10) < 0.14)
    tone = np.array(person.cloth, dtype=np.float32)
    return tone * tone * light.on(normal, (0.2, 0.2, 0.2), lamp) * weave[..., None]


def paint_ear(
    canvas: np.ndarray, person: Person, shot: Shot, surface: Surface, light: Light, side: float
) -> None:
    """Paint one ear of the rotated head; ``side`` is -1 for the left, 1 for the right."""
    sin = math.sin(shot.yaw)
    middle = side * 0.99 * person.width * math.cos(shot.yaw) - 0.10 * sin
    breadth = 0.095 * max(1 - 0.9 * side * sin, 0.5)
    v = (surface.y - 0.14 - 0.1 * math.sin(shot.pitch)) / 0.23
    u = ((surface.x - middle) * side + 0.045 * v) / breadth
    v = v * (1 + 0.18 * np.clip(v, -1, 1) * (u < 0))
    alpha = surface.edge((1 - np.sqrt(u * u + v * v)) * 0.095)
    bowl = np.exp(-(((u + 0.15) / 0.38) ** 2) - ((v + 0.05) / 0.5) ** 2)
    tilt = np.clip(0.5 * u + 0.45, -0.9, 0.9) * side
    normal = np.stack([tilt, 0.25 * v, np.full_like(u, 0.7)], -1)
    lit = light.on(normal, SKIN_SOFTNESS) * (0.95 - 0.38 * bowl)[..., None]
    skin = np.array(person.skin, dtype=np.float32) * np.array([0.98, 0.89, 0.87], np.float32)
    mix(canvas, skin * skin * lit, alpha)
