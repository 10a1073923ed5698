"""Output of commands with ``--json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from focus.files import replace_file


def present(values: Any, text: str, path: Path | None) -> None:
    """Print a result and write it to the file given by ``--json``.

    Args:
        values: the result, as JSON values.
        text: the same as readable text.
        path: None for no file; ``-`` prints the JSON in place of the text.

    Raises:
        InputError: the file cannot be written.
    """
    document = json.dumps(values, indent=2, allow_nan=False)
    printed = path is not None and str(path) == "-"
    print(document if printed else text)
    if path and not printed:
        with replace_file(Path(path)) as temporary:
            temporary.write_text(document + "\n", encoding="utf-8")
