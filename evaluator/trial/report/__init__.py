"""The report of a trial: one HTML file with metrics, curves and example faces.

``page`` combines ``values`` (metrics as tiles and tables), ``charts`` (inline SVG of the data from
``curves``) and ``cases`` (faces with their maps).
"""

from __future__ import annotations

from evaluator.trial.report.page import REPORT, write_report

__all__ = ["REPORT", "write_report"]
