"""HTML as an element tree; the serialiser escapes all text."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element, tostring

Content = Element | str | None


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


def to_html(root: Element) -> str:
    """Return a complete HTML document."""
    return "<!doctype html>\n" + tostring(root, encoding="unicode", method="html") + "\n"
