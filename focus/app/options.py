"""Flags of ``focus app``, in a module that imports neither torch nor Gradio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from focus.data.face_detection import DEFAULT_FACE_DETECTOR, check_face_detector
from focus.errors import InputError

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class AppCommand:
    """Serve a page that examines photographs and clips on this machine."""

    weights: str = ""
    """Name of a released model, its file, or a run folder; empty: the built-in model."""
    crop: Literal["faces", "frame"] = "faces"
    """faces: examine each face that is detected; frame: each image is one face already."""
    face_detector: str = DEFAULT_FACE_DETECTOR
    """Face detector: centerface (built in), yunet, retinaface or retinaface-mobilenet."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0: everybody on your network can open the page."""
    port: int = 7860
    """Port to listen on."""
    limit: int = 200
    """Largest file to accept, in MB."""
    open: bool = False
    """Open the page in the browser."""
    device: str = "auto"
    """auto (a CUDA GPU if available, else the CPU), or a torch device: cpu, cuda, cuda:1, mps."""
    quiet: bool = False
    """Print only the address and errors."""

    def __post_init__(self) -> None:
        check_face_detector(self.face_detector)
        if not 0 < self.port < 65536:
            raise InputError(f"--port {self.port}: must be in 1 to 65535")
        if self.limit < 1:
            raise InputError(f"--limit {self.limit}: must be at least 1 (MB)")
        if not self.host:
            raise InputError("--host: give an address, such as 127.0.0.1")
