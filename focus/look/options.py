"""Flags of ``focus look``, in a module that does not import torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from focus.data.face_detection import DEFAULT_FACE_DETECTOR, check_face_detector
from focus.errors import InputError


@dataclass(frozen=True)
class LookCommand:
    """Find faces in photographs and clips, and show where they may be manipulated."""

    paths: tuple[Path, ...]
    """Photographs, clips, or folders of them."""
    weights: str = ""
    """Name of a released model, its file, or a run folder; empty: the built-in model."""
    out: Path | None = None
    """Folder for the results (default: beside each input)."""
    crop: Literal["faces", "frame"] = "faces"
    """faces: examine each face that is detected; frame: each image is one face already."""
    face_detector: str = DEFAULT_FACE_DETECTOR
    """Face detector: centerface (built in), yunet, retinaface or retinaface-mobilenet."""
    open: bool = False
    """Open the page in the browser."""
    device: str = "auto"
    """auto (a CUDA GPU if available, else the CPU), or a torch device: cpu, cuda, cuda:1, mps."""
    quiet: bool = False
    """Print only results and errors, no progress."""

    def __post_init__(self) -> None:
        if not self.paths:
            raise InputError("give a photograph, a clip or a folder")
        check_face_detector(self.face_detector)
