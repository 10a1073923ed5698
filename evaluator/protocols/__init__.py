"""Tables of papers as executable records: training data, test data, metrics, published numbers.

``records`` defines a table; ``*_tables`` contain the tables, one file per paper. ``places`` finds
the corpora, ``building`` and ``planning`` convert a table to commands, ``effort`` estimates their
cost, ``running`` executes them, and ``comparing`` compares results with the published numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from focus.lazy import lazy

if TYPE_CHECKING:
    from evaluator.protocols.comparing import Comparison, compare, format_comparison
    from evaluator.protocols.options import ProtocolCommand
    from evaluator.protocols.planning import plan
    from evaluator.protocols.plans import Plan, Step
    from evaluator.protocols.printing import format_plan
    from evaluator.protocols.records import Protocol
    from evaluator.protocols.running import protocol_command, run_protocol
    from evaluator.protocols.tables import PROTOCOLS, get_protocol

__all__ = [
    "PROTOCOLS",
    "Comparison",
    "Plan",
    "Protocol",
    "ProtocolCommand",
    "Step",
    "compare",
    "format_comparison",
    "format_plan",
    "get_protocol",
    "plan",
    "protocol_command",
    "run_protocol",
]

__getattr__ = lazy(
    __name__,
    {
        "evaluator.protocols.comparing": (
            "Comparison",
            "compare",
            "format_comparison",
        ),
        "evaluator.protocols.planning": ("plan",),
        "evaluator.protocols.plans": (
            "Plan",
            "Step",
        ),
        "evaluator.protocols.printing": ("format_plan",),
        "evaluator.protocols.records": ("Protocol",),
        "evaluator.protocols.options": ("ProtocolCommand",),
        "evaluator.protocols.running": (
            "protocol_command",
            "run_protocol",
        ),
        "evaluator.protocols.tables": (
            "PROTOCOLS",
            "get_protocol",
        ),
    },
)
