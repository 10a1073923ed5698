"""Hair: a volume around the skull, filled with strands."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np

from focus.data.demo.face import cloud, soft
from focus.data.demo.head import Light, Surface
from focus.data.demo.people import Person

_TILE = 256


@dataclass(frozen=True)
class Style:
    """A haircut; lengths in half head heights.

    ``top`` and ``side``: thickness above and beside the skull. ``end`` and ``front_end``: lower end
    behind and in front of the head. ``flow``: direction of the strands. ``fringe``: offset of the
    hairline, downwards. ``part``: position of the parting. ``wave``: amplitude of waves.
    ``ragged``: roughness of the outline. ``loose``: roughness of the hairline. ``contrast``: of the
    strands' shading.
    """

    top: float
    side: float
    end: float
    front_end: float
    flow: Literal["fall", "arc", "short", "coil"]
    fringe: float = 0.0
    part: float = 0.0
    wave: float = 0.0
    ragged: float = 0.01
    loose: float = 1.0
    contrast: float = 1.0


STYLES = {
    "shaved": Style(0.02, 0.005, 0.15, 0.10, "fall", ragged=0.0, loose=0.0, contrast=0.3),
    "crop": Style(0.10, 0.03, 0.12, 0.06, "short", loose=0.6, contrast=0.8),
    "side": Style(0.17, 0.06, 0.12, 0.06, "arc", part=0.30, ragged=0.014),
    "fringe": Style(0.13, 0.11, 1.0, 0.85, "fall", fringe=0.34, ragged=0.016, loose=1.7),
    "bob": Style(0.13, 0.17, 1.0, 0.98, "arc", part=0.22, ragged=0.008),
    "long": Style(0.12, 0.13, 1.8, 1.6, "arc", part=0.10),
    "waves": Style(0.16, 0.22, 1.7, 1.5, "arc", part=0.16, wave=0.055, ragged=0.025),
    "curls": Style(0.24, 0.20, 0.5, 0.14, "coil", fringe=0.03, ragged=0.045, contrast=1.2),
    "tied": Style(0.07, 0.02, 0.12, 0.08, "fall", ragged=0.004, loose=0.3, contrast=0.7),
}


@dataclass(frozen=True)
class Hair:
    """Linear colours, float32 (N, N, 3); coverage and shadow, float32 (N, N) in [0, 1]."""

    back: np.ndarray
    back_alpha: np.ndarray
    front: np.ndarray
    front_alpha: np.ndarray
    shade: np.ndarray


@dataclass(frozen=True)
class _Volume:
    """``across``: -1 to 1 from side to side. ``high``: 0 at the eyes, 1 at the top."""

    across: np.ndarray
    high: np.ndarray
    rim: np.ndarray
    locks: np.ndarray
    fine: np.ndarray


def paint_hair(person: Person, surface: Surface, light: Light) -> Hair:
    """Paint the hair behind and in front of the head, and its shadow on the skin."""
    style = STYLES[person.hair]
    rng = np.random.default_rng((person.seed, 3))
    y, side = surface.y, surface.y.shape[0]
    volume = _volume(person, style, surface, rng)
    locks, fine = volume.locks, volume.fine
    reach = person.width + style.side
    tear = style.ragged * (0.8 * locks + 0.5 * fine)
    body = surface.edge((1 - volume.rim) * reach + tear)
    back_alpha = body * soft((style.end - y + 0.07 * locks + 0.03 * fine) / 0.05)
    front_alpha = np.minimum(_hairline(person, style, surface, volume), body)
    front_alpha *= soft((style.front_end - y + 0.05 * locks + 0.03 * fine) / 0.06)
    strength = 0.5
    if style.flow == "short":
        front_alpha *= 1 - 0.55 * soft((y + 0.35) / 0.4)
    if person.hair == "shaved":
        front_alpha *= surface.inside * np.clip(0.42 + 0.08 * cloud(rng, 70, side), 0, 1)
        back_alpha *= 0
        strength = 0.1
    colour = _lit_hair(person, style, volume, light)
    sink = 0.55 - 0.25 * soft((y - 0.5) / 0.4) * (np.abs(volume.across) < 0.8)
    root = cv2.GaussianBlur(front_alpha, (0, 0), 0.035 / surface.pixel)
    step = 0.07 / surface.pixel
    shift = np.array([[1, 0, -light.direction[0] * step], [0, 1, -light.direction[1] * step]])
    fallen = cv2.warpAffine(root, shift, (side, side), borderMode=cv2.BORDER_REPLICATE)
    return Hair(
        back=colour * sink[..., None],
        back_alpha=back_alpha,
        front=colour * (0.5 + 0.5 * root)[..., None],
        front_alpha=front_alpha,
        shade=1 - strength * fallen,
    )


def _volume(person: Person, style: Style, surface: Surface, rng: np.random.Generator) -> _Volume:
    x, y, side = surface.x, surface.y, surface.y.shape[0]
    fullness = 0.6 + 0.5 * person.hair_volume
    tall = 0.95 + style.top * fullness
    if style.wave:
        phase = 1.5 * np.sign(x) + 0.9 * cloud(rng, 5, side)
        x = x + style.wave * np.sin(y * 5.5 + phase) * soft((y + 0.6) / 0.8)
    half = person.width + style.side * fullness
    flare = 1 + 0.12 * soft(y - 0.1) if style.end > 0.8 else np.ones_like(y)
    across = x / (half * flare)
    high = np.clip((-0.05 - y) / tall, 0, None)
    rim = (np.abs(across) ** 2.4 + high**2.4) ** (1 / 2.4)
    locks, fine = _strands(style, x, y, rim, rng)
    return _Volume(across, high, rim, locks, fine)


def _strands(
    style: Style, x: np.ndarray, y: np.ndarray, rim: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return locks and single strands, both float32 (N, N), roughly standard normal."""
    side = x.shape[0]
    warp = cloud(rng, 9, side)
    if style.flow == "coil":
        return cloud(rng, 26, side), cloud(rng, 56, side)
    if style.flow == "short":
        bend = 0.10 * warp + 0.05 * cloud(rng, 22, side)
        return (
            _noise((x + bend) * 26, (y + bend) * 13),
            _noise((x + bend) * 70, (y - bend) * 24),
        )
    if style.flow == "arc":
        across, along = rim + 0.02 * warp, np.arctan2(x, 1.2 - y)
        return _noise(across * 22, along * 4.4), _noise(across * 75, along * 10 + 90)
    across, along = np.arctan2(x, y + 2.1) + 0.02 * warp, y + 0.1 * warp
    return _noise(across * 55, along * 3.2), _noise(across * 170, along * 8 + 90)


@lru_cache(maxsize=1)
def _tile() -> np.ndarray:
    """Return seamlessly tileable noise, float32 (_TILE, _TILE), standard deviation 1."""
    noise = np.random.default_rng(0).standard_normal((_TILE, _TILE), dtype=np.float32)
    tiled = cv2.GaussianBlur(np.tile(noise, (3, 3)), (0, 0), 0.8)[_TILE:-_TILE, _TILE:-_TILE]
    return np.ascontiguousarray(tiled / tiled.std())


def _noise(across: np.ndarray, along: np.ndarray) -> np.ndarray:
    return cv2.remap(_tile(), across, along, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def _lit_hair(person: Person, style: Style, volume: _Volume, light: Light) -> np.ndarray:
    """Return the linear colour of the lit volume, with highlights."""
    locks, fine = volume.locks, volume.fine
    across, up = np.clip(volume.across, -0.95, 0.95), np.clip(volume.high, 0, 0.95)
    depth = np.sqrt(np.clip(1 - across**2 - up**2, 0.05, 1))
    normal = np.stack([across + 0.10 * locks, 0.08 * fine - up, depth], -1)
    tone = np.square(np.array(person.hair_colour, dtype=np.float32))
    deep = np.clip(0.92 + style.contrast * (0.13 * locks + 0.12 * fine), 0.3, 1.5)
    lit = tone * light.on(normal, (0.25, 0.25, 0.25)) * (deep * deep)[..., None]
    lamp = float(light.direction[0])
    if style.flow == "coil":
        gleam = 0.5 * np.clip(0.35 * fine + 0.25 * locks, 0, 1)
    else:
        halo = 0.66 - 0.45 * (volume.across - 0.35 * lamp) ** 2
        gleam = np.exp(-(((volume.high - halo) / 0.17) ** 2))
        gleam *= np.clip(1 - 0.5 * np.abs(volume.across - lamp), 0, 1)
        gleam *= np.clip(0.5 + 0.30 * fine + 0.25 * locks, 0, 1.4) * float(light.key.mean())
    gleam *= 0.1 if person.hair == "shaved" else 1.0
    return lit + (0.45 * tone + 0.035) * gleam[..., None]


def _hairline(person: Person, style: Style, surface: Surface, volume: _Volume) -> np.ndarray:
    """Return the hair's coverage of the face, in [0, 1]: above the forehead, beside the temples."""
    x, y = surface.face_x, surface.face_y
    lean = x * person.hair_side
    line = person.hairline + style.fringe * (1 - 0.35 * x * x)
    if person.hair == "side":
        line += 0.16 * soft((0.30 - lean) / 0.8) - 0.02
    elif style.flow == "arc":
        line += 0.85 * np.clip(np.abs(lean - style.part) - 0.03, 0, None) ** 1.5 - 0.08
    elif style.fringe < 0.2:
        line += 0.10 * np.exp(-(((np.abs(x) - 0.52) / 0.16) ** 2))
        line -= 0.05 * person.masculine * np.exp(-(((np.abs(x) - 0.3) / 0.12) ** 2))
    line += style.loose * (0.022 * volume.locks + 0.016 * volume.fine)
    if style.front_end > 0.5:
        temple = 0.58 - 0.07 * soft((y - 0.2) / 0.5)
    else:
        temple = 0.55 + 0.13 * soft((y + 0.45) / 0.6)
    above = soft((line - y) / 0.04 + 0.5)
    beside = soft((np.abs(x) - temple + 0.015 * style.loose * volume.locks) / 0.04 + 0.5)
    return np.maximum(np.maximum(above, beside), 1 - surface.inside)
