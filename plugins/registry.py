"""Detectors by name, ours and strangers' through the same entry points."""

from __future__ import annotations

from focus.detectors import DETECTORS

register = DETECTORS.register
get = DETECTORS.get
names = DETECTORS.names
