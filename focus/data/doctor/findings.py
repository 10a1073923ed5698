"""What the doctor says: a finding, and all of them together."""

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
    """One fault, or one thing worth knowing, in a line."""

    severity: Severity
    """serious: numbers from this corpus would be wrong; warning: look at it; note: know it."""
    check: str
    """Short name of the check, the same in every report."""
    message: str
    """What was found."""
    count: int
    """How many rows, files or values it was found in."""
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
        """Build a finding that keeps five of its examples; its count is theirs unless given."""
        if count is None:
            examples = list(examples)
            count = len(examples)
        return cls(severity, check, message, count, tuple(islice(examples, MOST_EXAMPLES)))


@dataclass(frozen=True)
class Examination:
    """All that the doctor found out about an index."""

    findings: tuple[Finding, ...]
    """Serious ones first."""
    counts: Mapping[str, Any]
    """``faces``; ``labels``, ``splits`` and ``methods`` to numbers of rows."""
    facts: Mapping[str, Any]
    """What was measured: ``files`` looked at, their ``formats`` and ``sizes``, ``file_alone``
    (what a feature of the files scores as a detector), ``published`` (filter to found and
    expected)."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing serious was found."""
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
