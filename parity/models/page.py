"""A comparison of two models as one page: everything in one file, nothing fetched."""

from pathlib import Path

from parity.models import weights
from parity.models.result import Result
from parity.models.text import headline, render
from parity.report.files import write_whole
from parity.report.html import page
from parity.report.page.markup import classed, code, element, table


def to_html(result: Result) -> str:
    """The page: the report as text, and the table of parameters."""
    rows = [(code(ours), code(theirs), how) for ours, theirs, how in weights.listing(result.table)]
    body = [element("h1", {}, headline(result)), classed("pre", "", render(result))]
    if rows:
        body += [element("h2", {}, "Parameters"), table((*result.labels, "how"), rows, caption="which is which")]
    return page(headline(result), *body)


def write(result: Result, path: Path) -> None:
    """Writes a page if the name ends in .html, else the text; as a whole or not at all."""
    write_whole(path, to_html(result) if path.suffix == ".html" else render(result))
