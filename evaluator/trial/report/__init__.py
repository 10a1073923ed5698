"""The page of a trial: one HTML file with its numbers, its curves, and faces to look at.

``page`` puts it together out of ``values`` (metrics as tiles and tables), ``charts`` (inline SVG of
what ``curves`` counts) and ``cases`` (faces with their maps); ``elements`` makes the HTML.
"""

from __future__ import annotations

from evaluator.trial.report.page import write_report

__all__ = ["write_report"]
