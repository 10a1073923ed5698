"""The version of the installed package."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("focus-forgery")
except PackageNotFoundError:  # a source tree that was not installed
    __version__ = "0+unknown"
