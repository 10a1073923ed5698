"""HTML as an element tree; the serialiser escapes all text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.resources import files as package_files
from xml.etree.ElementTree import Element, tostring

Content = Element | str | None
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def element(tag: str, *content: Content, **attributes: object) -> Element:
    """Return an element with the given texts and elements; None is skipped.

    Attribute names are Python identifiers: ``class_`` is ``class``, ``aria_label`` is
    ``aria-label``.
    """
    names = {name: name.rstrip("_").replace("_", "-") for name in attributes}
    found = Element(tag, {names[name]: str(value) for name, value in attributes.items()})
    for part in content:
        if isinstance(part, Element):
            found.append(part)
        elif part and len(found):
            found[-1].tail = (found[-1].tail or "") + part
        elif part:
            found.text = (found.text or "") + part
    return found


def table(
    head: Sequence[Content], rows: Sequence[Sequence[Content]], numbers: int = 1, class_: str = ""
) -> Element:
    """Return a table; each row starts with a heading, columns from ``numbers`` on are numeric.

    It scrolls horizontally if wider than the page.
    """
    kinds = ["" if place < numbers else "number" for place in range(len(head))]
    cells = [
        element("th", cell, scope="col", class_=kind)
        for cell, kind in zip(head, kinds, strict=True)
    ]
    body = [
        element(
            "tr",
            element("th", row[0], scope="row"),
            *(
                element("td", cell, class_=kind)
                for cell, kind in zip(row[1:], kinds[1:], strict=True)
            ),
        )
        for row in rows
    ]
    filled = element(
        "table", element("thead", element("tr", *cells)), element("tbody", *body), class_=class_
    )
    return element("div", filled, class_="scroll", tabindex=0)


def build_page(title: str, subtitle: str, content: Iterable[Content], footnote: str = "") -> str:
    """Return a complete HTML document: no external resources, no scripts, all text escaped."""
    page = element(
        "html",
        _head(title),
        element(
            "body",
            element("header", element("h1", title), element("p", subtitle, class_="quiet")),
            element("main", *content),
            element("footer", element("p", footnote, class_="quiet") if footnote else None),
        ),
        lang="en",
    )
    return "<!doctype html>\n" + tostring(page, encoding="unicode", method="html") + "\n"


def _head(title: str) -> Element:
    style = package_files("evaluator.pages").joinpath("page.css").read_text(encoding="utf-8")
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        Element("meta", {"http-equiv": "Content-Security-Policy", "content": _POLICY}),
        element("title", title),
        element("style", style),
    )
