"""What the documents tell people to type exists."""

import re
import shlex
from pathlib import Path

import pytest

from evaluator.cli import main as evaluator
from focus.cli import main as focus

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
