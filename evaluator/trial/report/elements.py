"""HTML as a tree, so that every text is escaped by the serialiser and none by hand."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element, tostring

Content = Element | str | None


def element(tag: str, *content: Content, **attributes: object) -> Element:
    """Return an element with texts and elements in it; None is left out.

    Attributes are named as Python allows: ``class_`` is ``class``, ``aria_label`` is
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
    """Return a table whose rows each begin with a heading; columns from ``numbers`` on are figures.

    It scrolls by itself where it is wider than the page.
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
    """Return a whole document."""
    return "<!doctype html>\n" + tostring(root, encoding="unicode", method="html") + "\n"
