"""What leaves the repository is complete: sdist, wheel, workflow, templates, citation."""

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
FOLDERS = (".ci", ".github", "docs", "evaluator", "focus", "plugins", "scripts", "tests")
FILES = (  # .pre-commit-config.yaml and CITATION.cff are only found here by their readers
    ".gitignore", ".pre-commit-config.yaml", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md",
    "LICENSE", "MANIFEST.in", "README.md", "pyproject.toml",
)  # fmt: skip
PACKAGES = ("focus", "plugins", "evaluator")
BUILD = """
import sys
from setuptools import build_meta
out = sys.argv[1]
build_meta.build_sdist(out)
build_meta.build_wheel(out)
"""
WORKFLOW = ROOT / ".github" / "workflows" / "checks.yml"


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def files_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return a copy of the repository without caches, and the folder of its sdist and wheel."""
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__", ".*_cache")
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for name in FILES:
        shutil.copy(ROOT / name, copy)
    files = files_in(copy)
    subprocess.run([sys.executable, "-c", BUILD, out], check=True, cwd=copy, capture_output=True)
    return files, out


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_the_top_level_is_fixed():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout
    top = {path.partition("/")[0] for path in listed.splitlines()}
    assert top - {"shared"} == {*FOLDERS, *FILES}


def test_the_sdist_holds_the_repository(built):
    files, out = built
    with tarfile.open(next(out.glob("*.tar.gz"))) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert "tests/focus/test_files.py" in files
    assert files - packed == set()


def test_the_wheel_holds_the_packages_and_nothing_else(built):
    files, out = built
    with zipfile.ZipFile(next(out.glob("*.whl"))) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = {name.partition("/")[2] for name in archive.namelist() if name not in packed}
    assert packed == {name for name in files if name.startswith(tuple(f"{p}/" for p in PACKAGES))}
    assert {"licenses/LICENSE", "entry_points.txt"} <= metadata


def test_the_workflow_covers_three_systems_and_both_ends_of_python():
    jobs = read(WORKFLOW)["jobs"]
    oldest = re.search(r'requires-python = ">=([0-9.]+)"', (ROOT / "pyproject.toml").read_text())[1]
    for name in ("tests", "install"):
        matrix = jobs[name]["strategy"]["matrix"]
        assert {system.partition("-")[0] for system in matrix["os"]} == {
            "ubuntu", "macos", "windows",
        }  # fmt: skip
        assert matrix["python"][0] == oldest
        assert len(set(matrix["python"])) == 2
    lowest = jobs["bounds"]["strategy"]["matrix"]["include"][0]
    assert (lowest["bounds"], lowest["python"]) == ("lowest", oldest)
    assert all({"runs-on", "timeout-minutes", "steps"} <= set(job) for job in jobs.values())


def test_the_workflow_calls_scripts_that_exist_and_parse():
    steps = [step for job in read(WORKFLOW)["jobs"].values() for step in job["steps"]]
    lines = "\n".join(step.get("run", "") for step in steps)
    scripts = set(re.findall(r"bash (?:source/)?(\S+\.sh)", lines))
    assert {
        "scripts/test.sh",
        "scripts/lowest.sh",
        "scripts/smoke.sh",
        "scripts/site.sh",
    } <= scripts
    assert all((ROOT / script).is_file() for script in scripts)
    plain = re.sub(r"\$\{\{.*?\}\}", "", lines)
    subprocess.run(["bash", "-n"], input=plain, text=True, check=True)
    assert all("uses" in step or "run" in step for step in steps)
    used = [step["uses"] for step in steps if "uses" in step]
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", name) for name in used)


def test_issue_forms_have_what_github_requires():
    forms = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    forms = [read(path) for path in forms if path.name != "config.yml"]
    assert len(forms) == 2
    for form in forms:
        assert {"name", "description", "body"} <= set(form)
        fields = [field for field in form["body"] if field["type"] != "markdown"]
        assert len({field["id"] for field in fields}) == len(fields)
        assert all(field["attributes"]["label"] for field in fields)


def test_hooks_before_a_commit_are_the_checks_of_the_tests():
    [repository] = read(ROOT / ".pre-commit-config.yaml")["repos"]
    programs = [hook["entry"].split()[0] for hook in repository["hooks"]]
    checks = (ROOT / "scripts" / "test.sh").read_text()
    assert programs == ["ruff", "ruff", "mypy", "lint-imports"]
    assert all(re.search(f"^{name}", checks, re.MULTILINE) for name in programs)


def test_the_citation_is_of_this_version():
    cited = read(ROOT / "CITATION.cff")
    project = (ROOT / "pyproject.toml").read_text()
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
    assert f'version = "{cited["version"]}"' in project
    assert f'license = "{cited["license"]}"' in project
    assert cited["references"][0]["title"] in (ROOT / "README.md").read_text().replace("\n", " ")
