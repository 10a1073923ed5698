"""Collect the pages of the site: documents, notebooks, and references made from the code.

python scripts/build_site.py FOLDER    # writes FOLDER/pages and FOLDER/mkdocs.yml for mkdocs
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from site_reference import command_pages, detectors_page, module_pages, tables_page

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
NOTEBOOKS = ("photograph", "training", "detector")
# Sections in order; a document that stands in none is added to "How-to".
NAV: dict[str, tuple[str, ...]] = {
    "Tutorials": tuple(f"tutorials/{name}.md" for name in NOTEBOOKS),
    "How-to": (
        "tasks.md", "data.md", "generators.md", "evaluation.md", "your-own-detector.md",
        "your-own-generator.md", "cluster.md", "gpu.md", "performance.md", "reliability.md",
    ),
    "Reference": ("commands/", "api/", "detectors.md", "metrics.md", "tables.md"),
    "Results": ("results.md", "study.md", "models.md"),
    "Project": ("contributing.md", "releasing.md", "changelog.md"),
}  # fmt: skip
_FOLDERS = {"commands/": "Commands", "api/": "Python API"}


def collect_pages() -> dict[str, str]:
    """Return the text of each Markdown page by its path on the site."""
    pages = {"index.md": (DOCS / "site" / "index.md").read_text(encoding="utf-8")}
    for path in sorted(DOCS.glob("*.md")):
        pages[path.name] = path.read_text(encoding="utf-8")
    for path in sorted(DOCS.glob("examples/*/README.md")):
        pages[path.relative_to(DOCS).as_posix()] = path.read_text(encoding="utf-8")
    for name, target in (("CONTRIBUTING.md", "contributing.md"), ("CHANGELOG.md", "changelog.md")):
        pages[target] = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
    for name in NOTEBOOKS:
        pages[f"tutorials/{name}.md"] = notebook_page(name)
    pages |= command_pages() | module_pages()
    return pages | {"detectors.md": detectors_page(), "tables.md": tables_page()}


def collect_files() -> dict[str, bytes]:
    """Return the images and styles of the site by their path."""
    files = {path.name: path.read_bytes() for path in DOCS.glob("*.jpg")}
    for name in NOTEBOOKS:
        files |= {f"tutorials/{path}": data for path, data in _images(name)}
    return files | {"extra.css": (DOCS / "site" / "extra.css").read_bytes()}


def navigation(pages: dict[str, str]) -> list[dict[str, Any]]:
    """Return the navigation: sections of titles and paths."""
    known = {"index.md"} | {path for paths in NAV.values() for path in paths}
    free = [path for path in pages if "/" not in path or path.startswith("examples/")]
    loose = [path for path in free if path not in known]
    sections: list[dict[str, Any]] = [{"Start": "index.md"}]
    for section, paths in NAV.items():
        entries: list[dict[str, Any]] = []
        for path in (*paths, *(loose if section == "How-to" else ())):
            if path in _FOLDERS:
                inside = [{title(pages[page]): page} for page in pages if page.startswith(path)]
                entries.append({_FOLDERS[path]: inside})
            else:
                entries.append({title(pages[path]): path})
        sections.append({section: entries})
    return sections


def title(page: str) -> str:
    """Return the first heading of a page."""
    found = re.search(r"^# (.+)$", page, re.MULTILINE)
    assert found, page[:80]
    return found[1].replace("`", "")


def notebook_page(name: str) -> str:
    """Return a notebook as Markdown: text, code, and the outputs that it keeps."""
    number = 0
    parts = []
    for cell in _cells(name):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source.replace(".ipynb)", ".md)"))
            continue
        is_shell = source.startswith("!")
        parts.append(f"```{'bash' if is_shell else 'python'}\n{source.removeprefix('!')}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {})
            if image := _image(output):
                text = f"![output of the cell above]({name}-{number}.{image[0]})"
                number += 1
            else:
                text = "".join(output.get("text", data.get("text/plain", "")))
                text = f"```text\n{text.rstrip()}\n```"
            parts.append(f'<div class="output" markdown>\n\n{text}\n\n</div>')
    return "\n\n".join(parts) + "\n"


def _images(name: str) -> Iterator[tuple[str, bytes]]:
    outputs = (output for cell in _cells(name) for output in cell.get("outputs", ()))
    for number, (suffix, image) in enumerate(filter(None, map(_image, outputs))):
        yield f"{name}-{number}.{suffix}", base64.b64decode(image)


def _image(output: dict[str, Any]) -> tuple[str, str] | None:
    """Return suffix and base64 text of an output's image."""
    kinds = {"image/png": "png", "image/jpeg": "jpg"}
    data = output.get("data", {})
    return next(((kinds[kind], data[kind]) for kind in kinds if kind in data), None)


def _cells(name: str) -> list[dict[str, Any]]:
    text = (DOCS / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8")
    cells: list[dict[str, Any]] = json.loads(text)["cells"]
    return cells


def write_site(folder: Path) -> None:
    """Write pages and settings for ``mkdocs build -f FOLDER/mkdocs.yml`` into a new folder."""
    pages = collect_pages()
    files = {path: text.encode() for path, text in pages.items()} | collect_files()
    for path, content in files.items():
        target = folder / "pages" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    settings = yaml.safe_load((DOCS / "site" / "mkdocs.yml").read_text(encoding="utf-8"))
    for plugin in settings["plugins"]:
        if isinstance(plugin, dict):
            handler = plugin["mkdocstrings"]["handlers"]["python"]
            handler["paths"] = [str(ROOT)]
            handler["options"]["extensions"] = [str(DOCS / "site" / "roles.py")]
    settings |= {"docs_dir": "pages", "site_dir": "html", "nav": navigation(pages)}
    text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    (folder / "mkdocs.yml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_site(Path(sys.argv[1]))
