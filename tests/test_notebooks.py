"""The notebooks are those of the scripts beside them, keep their outputs, and run."""

import json
import os
import re
from pathlib import Path

import pytest
from notebooks import FOLDER, build, execute, read_cells

SCRIPTS = sorted(FOLDER.glob("*.py"))
# Sizes of the pages, and those with which the tests run them; scripts/notebooks.py runs them whole.
SHORTER = {
    r"people = \d+": "people = 20",
    r"--steps \d+": "--steps 4",
    r'"--steps", "\d+"': '"--steps", "4"',
    r"--validate-every \d+": "--validate-every 2",
    r'"--validate-every", "\d+"': '"--validate-every", "2"',
    r'"--draws", "\d+"': '"--draws", "0"',
}
MACHINE = re.compile(r"/(?:tmp|home|root|work|usr|var|Users)/|Traceback|Warning")


def cells_of(path):
    return json.loads(path.with_suffix(".ipynb").read_text(encoding="utf-8"))["cells"]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_notebook_is_its_script_with_outputs(path):
    cells = cells_of(path)
    expected = read_cells(path.read_text(encoding="utf-8"))
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in cells] == expected
    assert [cell["id"] for cell in cells] == [f"{path.stem}-{i:02d}" for i in range(len(cells))]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    images = [
        output["data"].pop(kind)
        for output in outputs
        for kind in ("image/png", "image/jpeg")
        if kind in output.get("data", {})
    ]
    assert images
    for output in outputs:
        assert not MACHINE.search(json.dumps(output)), output
    assert path.with_suffix(".ipynb").stat().st_size < 500_000


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    pytest.importorskip("ipykernel")
    pytest.importorskip("nbclient")
    text = path.read_text(encoding="utf-8")
    for whole, short in SHORTER.items():
        text = re.sub(whole, short, text)
    assert not re.search(r"--steps\W+\d\d", text)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent), prepend=os.pathsep)
    notebook = build(path.stem, read_cells(text))
    execute(notebook, tmp_path)
    assert any(cell.get("outputs") for cell in notebook.cells)
