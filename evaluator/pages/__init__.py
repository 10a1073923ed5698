"""Pages of results: HTML as an element tree, and the style that all of them share."""

from __future__ import annotations

from evaluator.pages.elements import Content, build_page, element, table

__all__ = ["Content", "build_page", "element", "table"]
