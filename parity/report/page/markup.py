"""Markup in which nothing stands that was not escaped or made here."""

import html
import re
from collections.abc import Iterable, Mapping

_EMPTY = {"meta", "link", "br", "line", "rect", "circle", "path", "polyline", "col"}

# Characters that no HTML page may hold, and halves of characters, which no file may.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")

Attributes = Mapping[str, object]


class Html(str):
    """Text that is markup already."""


def escape(text: object) -> Html:
    """Anything as text of a page; markup stays what it is."""
    if isinstance(text, Html):
        return text
    return Html(html.escape(_FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", str(text))))


def join(parts: Iterable[object]) -> Html:
    """Parts one after the other."""
    return Html("".join(map(escape, parts)))


def element(name: str, attributes: Attributes | None = None, *children: object) -> Html:
    """One element; its children are escaped unless they are markup.

    >>> element("td", {"class": "bad", "title": None}, "1 < 2", element("br"))
    '<td class="bad">1 &lt; 2<br/></td>'

    Args:
        name: of the tag.
        attributes: those that are None are left out.
        children: text or markup.
    """
    given = {key: value for key, value in (attributes or {}).items() if value is not None}
    opened = name + "".join(f' {key}="{escape(value)}"' for key, value in given.items())
    return Html(f"<{opened}/>" if name in _EMPTY and not children else f"<{opened}>{join(children)}</{name}>")


def classed(name: str, style: str, *children: object) -> Html:
    """An element with a class."""
    return element(name, {"class": style or None}, *children)


def code(text: object) -> Html:
    """The name of a site, or anything else that a program would print; may break after its dots."""
    return classed("code", "", Html(escape(text).replace(".", ".<wbr/>")))


def table(head: Iterable[object], rows: Iterable[Iterable[object]], *, caption: str, style: str = "") -> Html:
    """A table with headers along its top and its left side.

    Args:
        head: cells of the first row.
        rows: cells of the others; the first of each is its header. A cell may be a whole `td`.
        caption: what the table shows, for those who do not see the page.
        style: class of the table.
    """
    headers = [element("th", {"scope": "col"}, cell) for cell in head]
    body = []
    for first, *rest in rows:
        body.append(element("tr", {}, element("th", {"scope": "row"}, first), *map(_cell, rest)))
    parts = (classed("caption", "unseen", caption), element("thead", {}, element("tr", {}, *headers)))
    inner = classed("table", style, *parts, element("tbody", {}, *body))
    return element("div", {"class": "wide", "tabindex": 0, "role": "group", "aria-label": caption}, inner)


def _cell(content: object) -> Html:
    return content if isinstance(content, Html) and content.startswith("<td") else element("td", {}, content)
