"""Parameters of a person and of a shot."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

Colour = tuple[float, float, float]

HAIR_STYLES = ("shaved", "crop", "side", "fringe", "bob", "long", "waves", "curls", "tied")
_SHORT = (0.16, 0.34, 0.26, 0.08, 0.0, 0.01, 0.02, 0.12, 0.01)
_LONG = (0.01, 0.04, 0.10, 0.14, 0.18, 0.17, 0.15, 0.11, 0.10)


def _palette(*colours: tuple[int, int, int]) -> np.ndarray:
    return np.array(colours) / 255.0


_TONES = _palette(
    (244, 214, 194),
    (236, 197, 169),
    (222, 175, 141),
    (206, 158, 124),
    (180, 131, 99),
    (150, 106, 80),
    (124, 86, 66),
    (102, 71, 57),
)
_HAIR = _palette(
    (40, 34, 33),
    (58, 43, 35),
    (78, 52, 36),
    (112, 76, 48),
    (160, 116, 70),
    (206, 168, 112),
    (134, 62, 32),
)
_IRIS = _palette((70, 44, 26), (98, 66, 38), (112, 104, 62), (96, 122, 104), (88, 122, 152))
_LIPSTICK = _palette((184, 51, 61), (199, 97, 102), (133, 38, 56))
_CLOTH = _palette(
    (36, 42, 58),
    (60, 66, 72),
    (142, 58, 54),
    (58, 92, 84),
    (194, 186, 172),
    (44, 78, 122),
    (168, 124, 66),
    (122, 96, 128),
    (210, 206, 204),
    (32, 32, 34),
    (86, 104, 70),
)


@dataclass(frozen=True)
class Person:
    """The features that all images of one person share.

    Lengths are in half heights of the head, colours RGB in [0, 1], everything else in [0, 1].
    """

    seed: int
    masculine: float
    age: float
    skin: Colour
    darkness: float
    blush: float
    width: float
    jaw: float
    chin: float
    eye_gap: float
    eye_width: float
    eye_height: float
    eye_tilt: float
    eye_lid: float
    iris: Colour
    brow_height: float
    brow_arch: float
    brow_thickness: float
    nose_width: float
    nose_length: float
    nose_bridge: float
    mouth_width: float
    lip_upper: float
    lip_lower: float
    lip: Colour
    hair: str
    hair_colour: Colour
    hair_volume: float
    hairline: float
    hair_side: float
    beard: str
    freckles: float
    makeup: float
    glasses: bool
    collar: str
    cloth: Colour
    build: float


@dataclass(frozen=True)
class Shot:
    """One image of a person: pose, expression, light, background, camera.

    Angles are in radians; ``centre`` and ``scale`` (the half head height) as fractions of the
    image's side; ``light`` is a unit vector towards the light (x right, y down, z to the
    camera); ``blur`` is in pixels, ``grain`` in grey levels, ``quality`` is the JPEG quality.
    """

    seed: int
    grain_seed: int
    centre: tuple[float, float]
    scale: float
    roll: float
    yaw: float
    pitch: float
    smile: float
    open_mouth: float
    open_eyes: float
    gaze: tuple[float, float]
    brow_raise: float
    light: tuple[float, float, float]
    key: float
    key_colour: Colour
    ambient_colour: Colour
    exposure: float
    background: tuple[Colour, Colour, Colour]
    scene: str
    blur: float
    grain: float
    quality: int


def draw_person(rng: np.random.Generator) -> Person:
    """Return a random person."""
    masculine = float(rng.beta(0.6, 0.6))
    age = float(rng.beta(1.1, 1.6))
    darkness = float(rng.uniform(0, 1))
    skin = _between(_TONES, darkness) * rng.normal(1, 0.018, 3)
    makeup = float(rng.uniform(0.2, 1) * (rng.random() < 0.75 * (1 - masculine)))
    lips = skin * (0.87, 0.62, 0.62) + (0.07, 0.0, 0.02)
    lips += (_LIPSTICK[rng.integers(len(_LIPSTICK))] - lips) * 0.5 * makeup
    full = 0.012 * darkness - 0.010 * masculine
    return Person(
        seed=int(rng.integers(2**31)),
        masculine=masculine,
        age=age,
        skin=_colour(skin),
        darkness=darkness,
        blush=rng.uniform(0.3, 1),
        width=rng.uniform(0.665, 0.725) + 0.03 * masculine,
        jaw=rng.uniform(0.72, 0.84) + 0.10 * masculine,
        chin=rng.uniform(2.3, 2.9) + 0.8 * masculine,
        eye_gap=rng.uniform(0.285, 0.32),
        eye_width=rng.uniform(0.155, 0.185) - 0.01 * masculine,
        eye_height=rng.uniform(0.074, 0.098) - 0.016 * masculine,
        eye_tilt=float(rng.normal(-0.05, 0.07)),
        eye_lid=rng.uniform(0.015, 0.055),
        iris=_iris(rng, darkness),
        brow_height=rng.uniform(0.15, 0.20) - 0.02 * masculine,
        brow_arch=rng.uniform(0.02, 0.06) - 0.015 * masculine,
        brow_thickness=rng.uniform(0.018, 0.030) + 0.016 * masculine,
        nose_width=rng.uniform(0.115, 0.150) + 0.03 * darkness,
        nose_length=rng.uniform(0.37, 0.45),
        nose_bridge=rng.uniform(0.7, 1.2),
        mouth_width=rng.uniform(0.23, 0.29),
        lip_upper=rng.uniform(0.048, 0.070) + full,
        lip_lower=rng.uniform(0.068, 0.096) + full,
        lip=_colour(lips),
        hair=_hair_style(rng, masculine),
        hair_colour=_hair_colour(rng, darkness, age),
        hair_volume=rng.uniform(0.5, 1),
        hairline=rng.uniform(-0.64, -0.52) - 0.14 * masculine * age,
        hair_side=float(rng.choice([-1, 1])),
        beard=_beard(rng, masculine),
        freckles=rng.uniform(0, 1) ** 3,
        makeup=makeup,
        glasses=bool(rng.random() < 0.14),
        collar=str(rng.choice(["crew", "vee", "shirt", "high"])),
        cloth=_colour(_CLOTH[rng.integers(len(_CLOTH))] * rng.normal(1, 0.06, 3)),
        build=rng.uniform(0.85, 1.05) + 0.15 * masculine,
    )


def draw_shot(rng: np.random.Generator) -> Shot:
    """Return random pose, expression, light, background and camera of one image."""
    azimuth, elevation = rng.uniform(-1.15, 1.15), rng.uniform(0.15, 0.85)
    light = np.array([math.sin(azimuth), -math.tan(elevation), max(math.cos(azimuth), 0.25)])
    warmth = float(rng.normal(0, 0.05))
    smile = float(np.clip(rng.normal(0.55, 0.38), -0.2, 1))
    return Shot(
        seed=int(rng.integers(2**31)),
        grain_seed=int(rng.integers(2**31)),
        centre=(float(rng.normal(0.5, 0.045)), float(rng.normal(0.525, 0.035))),
        scale=rng.uniform(0.39, 0.47),
        roll=float(np.clip(rng.normal(0, 0.10), -0.3, 0.3)),
        yaw=float(np.clip(rng.normal(0, 0.22), -0.42, 0.42)),
        pitch=float(np.clip(rng.normal(0, 0.09), -0.2, 0.2)),
        smile=smile,
        open_mouth=float(max(0.0, rng.normal(-0.2 + 0.5 * max(smile, 0), 0.4))),
        open_eyes=float(np.clip(rng.normal(1, 0.12) - 0.12 * max(smile, 0), 0.55, 1.2)),
        gaze=(float(rng.normal(0, 0.2)), float(rng.normal(0, 0.12))),
        brow_raise=float(rng.normal(0, 0.02)),
        light=_colour(light / np.linalg.norm(light)),
        key=rng.uniform(0.55, 0.85),
        key_colour=(1 + warmth, 1.0, 1 - 1.2 * warmth),
        ambient_colour=(1 - 0.6 * warmth, 1.0, 1 + warmth),
        exposure=rng.uniform(0.95, 1.2),
        background=_background(rng),
        scene=str(rng.choice(["studio", "room", "outdoors", "lights"])),
        blur=rng.uniform(0.25, 0.5),
        grain=rng.uniform(4.4, 5.6),
        quality=int(rng.integers(90, 98)),
    )


def _between(table: np.ndarray, place: float) -> np.ndarray:
    steps = np.linspace(0, 1, len(table))
    return np.array([np.interp(place, steps, table[:, channel]) for channel in range(3)])


def _colour(values: np.ndarray) -> Colour:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _iris(rng: np.random.Generator, darkness: float) -> Colour:
    pale = rng.random() > 0.25 + 1.4 * darkness
    return _colour(_IRIS[rng.integers(2, 5) if pale else rng.integers(0, 2)])


def _hair_style(rng: np.random.Generator, masculine: float) -> str:
    weights = np.array(_SHORT) * masculine + np.array(_LONG) * (1 - masculine)
    return str(rng.choice(HAIR_STYLES, p=weights / weights.sum()))


def _hair_colour(rng: np.random.Generator, darkness: float, age: float) -> Colour:
    choices = 2 if darkness > 0.55 else 3 if darkness > 0.35 else len(_HAIR)
    colour = _HAIR[rng.integers(choices)] * rng.normal(1, 0.05)
    grey = np.clip((age - 0.5) * 2.2 + rng.normal(0, 0.15), 0, 0.92)
    return _colour(colour * (1 - grey) + np.array([0.66, 0.65, 0.64]) * grey)


def _beard(rng: np.random.Generator, masculine: float) -> str:
    if masculine < 0.6:
        return "none"
    return str(rng.choice(["none", "stubble", "full", "goatee"], p=[0.42, 0.30, 0.18, 0.10]))


def _background(rng: np.random.Generator) -> tuple[Colour, Colour, Colour]:
    hue, level = rng.uniform(0, 2 * np.pi), rng.uniform(0.22, 0.68)
    colours = []
    for _ in range(3):
        hue += rng.normal(0, 0.7)
        tint = 1 + 0.12 * np.cos([hue, hue - 2.1, hue + 2.1])
        colours.append(_colour(np.clip(level * tint * rng.uniform(0.7, 1.3), 0.06, 0.9)))
    return colours[0], colours[1], colours[2]
