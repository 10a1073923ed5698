"""Registry of published tables by name."""

from __future__ import annotations

import difflib

from evaluator.protocols import focus_tables, monfap_tables, msccnet_tables, telltales_tables
from evaluator.protocols.records import Protocol
from focus.errors import InputError

PROTOCOLS = {
    protocol.name: protocol
    for tables in (
        focus_tables.TABLES,
        msccnet_tables.TABLES,
        monfap_tables.TABLES,
        telltales_tables.TABLES,
    )
    for protocol in tables
}


def get_protocol(name: str) -> Protocol:
    """Return a table.

    Raises:
        InputError: no such table.
    """
    if name not in PROTOCOLS:
        near = difflib.get_close_matches(name, PROTOCOLS, n=1)
        hint = f"perhaps {near[0]}? " if near else ""
        raise InputError(f"protocol {name}: no such table; {hint}known: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
