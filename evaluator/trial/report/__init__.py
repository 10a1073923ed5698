"""The report of a trial: one HTML file with metrics, curves and example faces.

``page`` combines ``values`` (metrics as tiles and tables), ``charts`` (inline SVG of the data from
``curves``) and ``cases`` (faces with their maps); ``elements`` builds the HTML.
"""

from __future__ import annotations

from evaluator.trial.report.page import write_report

__all__ = ["write_report"]
