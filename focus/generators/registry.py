"""Generators by name: ours and strangers' through the same entry points."""

from __future__ import annotations

from focus.generators.contract import Generator
from focus.registry import Registry

GENERATORS: Registry[type[Generator]] = Registry("focus.generators", "generator")

register = GENERATORS.register
get = GENERATORS.get
names = GENERATORS.names
