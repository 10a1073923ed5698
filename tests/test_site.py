"""The site is complete before it is built: navigation, links, references, public docstrings."""

import ast
import importlib
import inspect
import itertools
import posixpath
import re
import textwrap
from pathlib import Path

import pytest
import yaml
from build_site import DOCS, collect_files, collect_pages, navigation, title
from site_reference import PACKAGES, PROGRAMS, metric_modules, public_paths

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def pages():
    return collect_pages()


def leaves(entry):
    if isinstance(entry, str):
        yield entry
    for inner in (
        entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else ()
    ):
        yield from leaves(inner)


def test_the_navigation_leads_to_every_page_once(pages):
    assert sorted(leaves(navigation(pages))) == sorted(pages)


def test_a_document_that_no_section_names_is_a_guide(pages):
    entries = navigation(pages | {"new.md": "# New page\n"})
    [guides] = [entry["How-to"] for entry in entries if "How-to" in entry]
    assert guides[-1] == {"New page": "new.md"}


def test_links_and_images_of_every_page_resolve(pages):
    known = {*pages, *collect_files()}
    for path, text in pages.items():
        plain = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", plain):
            if not target.startswith("http"):
                place = posixpath.join(posixpath.dirname(path), target.partition("#")[0])
                assert posixpath.normpath(place) in known, (path, target)


def test_every_command_has_a_page_with_its_flags(pages, capsys):
    for program, commands in PROGRAMS.items():
        for name, command in commands.items():
            page = pages[f"commands/{program}-{name}.md"]
            assert title(page) == f"{program} {name}"
            assert command.example in page
            with pytest.raises(SystemExit):
                importlib.import_module(f"{program}.cli").main([name, "--help"])
            flags = set(re.findall(r"^  (--[a-z-]+)", capsys.readouterr().out, re.MULTILINE))
            assert flags
            assert flags <= set(re.findall(r"`(--[a-z-]+)`", page)), name


def test_every_public_object_has_a_docstring(pages):
    text = "\n".join(pages.values())
    bare = []
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name, path in zip(
            [name for name in module.__all__ if not name.startswith("__")],
            public_paths(package), strict=True,
        ):  # fmt: skip
            assert f"::: {path}\n" in text
            found = getattr(module, name)
            if callable(found):
                bare += [path] if not inspect.getdoc(found) else list(bare_members(found, path))
            elif name not in documented_constants():
                bare.append(path)
    for name in (*metric_modules(), "plugins.targets"):
        assert f"::: {name}\n" in text
        module = importlib.import_module(name)
        for key, found in inspect.getmembers(module, inspect.isfunction):
            if found.__module__ == name and not key.startswith("_") and not found.__doc__:
                bare.append(f"{name}.{key}")
    assert bare == []


def bare_members(found, path):
    """Yield methods, properties and fields of a class without a docstring."""
    if not inspect.isclass(found):
        return
    for key, member in vars(found).items():
        member = member.fget if isinstance(member, property) else member
        if inspect.isfunction(member) and not key.startswith("_") and not member.__doc__:
            yield f"{path}.{key}"
    fields = getattr(found, "_fields", None) or getattr(found, "__dataclass_fields__", ())
    documented = set()
    for owner in (each for each in found.__mro__ if each.__module__.startswith(PACKAGES)):
        body = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0].body
        documented |= {
            node.target.id
            for node, after in itertools.pairwise(body)
            if isinstance(node, ast.AnnAssign) and isinstance(after, ast.Expr)
        }
        documented |= set(re.findall(r"^ +(\w+): ", inspect.getdoc(owner) or "", re.MULTILINE))
    yield from (f"{path}.{name}" for name in fields if name not in documented)


def documented_constants():
    """Return names of constants that a docstring follows, in modules that others export."""
    names = set()
    for file in ("types.py", "modalities.py"):
        body = ast.parse((ROOT / "focus" / file).read_text()).body
        for node, after in itertools.pairwise(body):
            if isinstance(node, ast.Assign) and isinstance(after, ast.Expr):
                names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def test_the_site_loads_nothing_from_other_hosts():
    settings = yaml.safe_load((DOCS / "site" / "mkdocs.yml").read_text(encoding="utf-8"))
    assert settings["theme"]["font"] is False
    assert not {"analytics", "consent"} & set(settings["extra"])
    text = (DOCS / "site" / "mkdocs.yml").read_text() + (DOCS / "site" / "extra.css").read_text()
    assert "http" not in text
