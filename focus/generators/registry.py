"""Registry of generators, built-in and third-party."""

from __future__ import annotations

from focus.generators.contract import Generator
from focus.registry import Registry

GENERATORS: Registry[type[Generator]] = Registry("focus.generators", "generator")

register = GENERATORS.register
get = GENERATORS.get
names = GENERATORS.names
