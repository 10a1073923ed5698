"""Results of the doctor: single findings, and the complete examination."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Literal

Severity = Literal["serious", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("serious", "warning", "note")
MOST_EXAMPLES = 5


@dataclass(frozen=True)
class Finding:
    """One fault or note."""

    severity: Severity
    """serious: results on this corpus would be wrong; warning: check it; note: for information."""
    check: str
    """Short name of the check, the same in every report."""
    message: str
    """Description of the fault."""
    count: int
    """Number of rows, files or values that have it."""
    examples: tuple[str, ...] = ()
    """Some of them."""

    @classmethod
    def of(
        cls,
        severity: Severity,
        check: str,
        message: str,
        examples: Iterable[str],
        count: int | None = None,
    ) -> Finding:
        """Build a finding; keep five examples. Default count: the number of examples."""
        if count is None:
            examples = list(examples)
            count = len(examples)
        return cls(severity, check, message, count, tuple(islice(examples, MOST_EXAMPLES)))


@dataclass(frozen=True)
class Examination:
    """The results of all checks of an index."""

    findings: tuple[Finding, ...]
    """Serious ones first."""
    counts: Mapping[str, Any]
    """``faces``: number of rows; ``labels``, ``splits``, ``methods``: number of rows of each."""
    facts: Mapping[str, Any]
    """Measurements: ``files`` inspected, their ``formats`` and ``sizes``, ``file_alone`` (scores
    of file features as detectors), ``published`` (filter -> found and expected rows)."""

    @property
    def is_sound(self) -> bool:
        """Whether there is no serious finding."""
        return not self.count("serious")

    def count(self, severity: Severity) -> int:
        """Return the number of findings of a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return the verdict, the counts, the facts and the findings as plain JSON values."""
        return {
            "verdict": "sound" if self.is_sound else "faulty",
            "counts": dict(self.counts),
            "facts": dict(self.facts),
            "findings": [
                {**asdict(finding), "examples": list(finding.examples)} for finding in self.findings
            ],
        }
