"""Commands, flags and files that the documents name exist."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import timm
from safetensors.torch import save_file

from evaluator.cli import main as evaluator
from focus.cli import main as focus
from tests.shared import call_lines

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = {"focus": focus, "evaluator": evaluator}


def commands():
    """Yield (document, words) of every focus or evaluator command in a bash block or a script."""
    for path in [*DOCUMENTS, *sorted((ROOT / "scripts").rglob("*.sh"))]:
        text = path.read_text(encoding="utf-8").replace("\\\n", " ")
        blocks = (
            re.findall(r"```bash\n(.*?)```", text, re.DOTALL) if path.suffix == ".md" else [text]
        )
        for line in "\n".join(blocks).splitlines():
            if re.match(r"\s*(focus|evaluator) [a-z]", line):
                yield pytest.param(
                    shlex.split(line.replace("@", ""), comments=True), id=line.strip()[:60]
                )


@pytest.mark.parametrize("words", commands())
def test_commands_in_documents_have_the_flags_they_show(words, capsys):
    with pytest.raises(SystemExit) as leaving:
        PROGRAMS[words[0]]([words[1], "--help"])
    assert leaving.value.code == 0
    shown = re.findall(r"--[a-z-]+", capsys.readouterr().out)
    flags = [word for word in words if word.startswith("--")]
    assert set(flags) <= set(shown)


EXTRAS = (
    *("av", "onnx", "onnxscript", "onnxruntime", "pillow_heif", "retinaface", "lmdb", "gradio"),
    *("segmentation_models_pytorch", "pyarrow", "aiohttp", "mlflow", "wandb"),
)
SHORT = {"train": "--steps 2 --batch 8 --validate-every 2 --image-size 64 --workers 0 --device cpu"}


WITHOUT_EXTRAS = f"""
import sys
from importlib.machinery import PathFinder

class Others(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        extra = name.partition(".")[0] in {EXTRAS!r}
        return None if extra else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Others
"""
"""A default installation: no extra can be imported."""


@pytest.fixture(scope="module")
def workplace(demo_corpus, tmp_path_factory):
    """Return a folder with the files of the README's commands: faces, a photograph, weights."""
    folder = tmp_path_factory.mktemp("workplace")
    shutil.copytree(demo_corpus.parent, folder / "faces")
    shutil.copy(next((folder / "faces").rglob("*.jpg")), folder / "photo.jpg")
    encoder = timm.create_model("mobilenetv2_100")
    save_file(encoder.state_dict(), folder / "mobilenetv2.safetensors")
    return folder


def test_the_readme_runs_on_a_default_installation(workplace):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"^(?:focus|evaluator) .+$", text, re.MULTILINE)
    assert len(lines) >= 3
    words = [shlex.split(line, comments=True) for line in lines]
    words = [[*line, *SHORT.get(line[1], "").split()] for line in words]
    need_extras = (
        "focus export runs/first --out first.onnx",
        "evaluator robustness --model focus --weights runs/first --data faces --out robustness",
    )
    *done, exported, robustness = call_lines(
        *words,
        *map(str.split, need_extras),
        env={"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        folder=workplace,
        before=WITHOUT_EXTRAS,
    )
    for line, one in zip(lines, done, strict=True):
        assert one.returncode == 0, (line, one.stderr)
    for refused in (exported, robustness):
        assert refused.returncode == 2
        assert "pip install" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    examine, read = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    code = f"{examine}\nassert 0 <= face.score <= 1\n{read}\nassert maps['photo.jpg'].max() <= 1"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=workplace)


def test_links_lead_somewhere():
    for path in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (path.parent / target).exists(), (path.name, target)


def test_every_named_part_of_the_gpu_script_is_documented():
    parts = re.findall(r"^([a-z]+)\) #", (ROOT / "scripts" / "gpu.sh").read_text(), re.MULTILINE)
    table = (ROOT / "docs" / "gpu.md").read_text()
    assert parts
    assert all(f"`{part}`" in table for part in parts)
