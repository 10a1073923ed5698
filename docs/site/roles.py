"""Cross-references of docstrings, ``:func:`~focus.files.sha256```, as plain code for the site."""

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`~?([\w.]+\.)?(\w+)`")


class Roles(griffe.Extension):
    """Replaces each role by the last word of its target."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of one object."""
        if obj.docstring:
            obj.docstring.value = _ROLE.sub(r"`\2`", obj.docstring.value)
