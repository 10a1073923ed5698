"""Build docs/notebooks/*.ipynb, executed, from the scripts beside them.

    python scripts/notebooks.py [NAME ...]

A script has cells: ``# %%`` (Python), ``# %% [markdown]`` and ``# %% [shell]`` (one command, as a
comment). Edit the script, never the notebook; a test compares the two.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parent.parent / "docs" / "notebooks"
SECONDS = 300
_CELL = re.compile(r"^# %%(?: \[(\w+)\])?\n", re.MULTILINE)
# Cells that are executed but not kept.
_BEGIN = "import warnings; warnings.filterwarnings('ignore', message='IProgress not found')"
_CHECK = "assert _exit_code == 0"


class Cell(NamedTuple):
    """A cell of a notebook, before it is executed."""

    kind: str  # markdown or code
    source: str


def read_cells(text: str) -> list[Cell]:
    """Return the cells of a script."""
    _, *parts = _CELL.split(text)
    cells = []
    for kind, source in zip(parts[::2], parts[1::2], strict=True):
        if kind in ("markdown", "shell"):
            source = re.sub(r"^# ?", "", source, flags=re.MULTILINE)
        source = source.strip()
        if kind == "shell":
            source = f"!{source}"
        cells.append(Cell("markdown" if kind == "markdown" else "code", source))
    return cells


def build(name: str, cells: list[Cell]) -> Any:
    """Return a notebook without outputs, whose cells have stable ids."""
    from nbformat import v4

    notebook = v4.new_notebook(
        metadata={
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    new = {"markdown": v4.new_markdown_cell, "code": v4.new_code_cell}
    notebook.cells = [
        new[cell.kind](cell.source, id=f"{name}-{number:02d}") for number, cell in enumerate(cells)
    ]
    return notebook


def execute(notebook: Any, folder: Path) -> None:
    """Run a notebook in a folder and keep its outputs in it.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell or a command failed.
    """
    from nbclient import NotebookClient
    from nbformat import v4

    programs = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([programs, os.environ.get("PATH", "")])
    cells = notebook.cells
    notebook.cells = [v4.new_code_cell(_BEGIN)]
    for cell in cells:
        is_command = cell.source.startswith("!")
        notebook.cells += [cell, v4.new_code_cell(_CHECK)] if is_command else [cell]
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=SECONDS, kernel_name="python3", resources=resources).execute()
    notebook.cells = cells
    for number, cell in enumerate((cell for cell in cells if cell.cell_type == "code"), 1):
        cell.metadata.pop("execution", None)
        cell.execution_count = number
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = number
            if "image/jpeg" in output.get("data", {}):  # a PIL image is sent in both formats
                output.data.pop("image/png", None)
            if "text" in output:
                output.text = output.text.replace("\r\n", "\n")


def main(names: list[str]) -> None:
    """Build the named notebooks, or all."""
    import nbformat

    for path in sorted(FOLDER.glob("*.py")):
        if names and path.stem not in names:
            continue
        notebook = build(path.stem, read_cells(path.read_text(encoding="utf-8")))
        with tempfile.TemporaryDirectory() as folder:
            execute(notebook, Path(folder))
        nbformat.write(notebook, path.with_suffix(".ipynb"))
        print(f"{path.stem}: {len(notebook.cells)} cells")


if __name__ == "__main__":
    main(sys.argv[1:])
