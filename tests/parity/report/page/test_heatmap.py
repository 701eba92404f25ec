"""The map of all sites: what made a difference is told from what inherited it."""

import re

from parity.judge.compare import SEMANTIC
from parity.judge.verdict import (
    Report,
)
from parity.report.html import to_html
from tests.parity.helpers import agreeing, run_of
from tests.parity.report.page.helpers import FAILED, PASSED, REPORT, SITES, Tree


def cells(report: Report) -> dict[str, tuple[str, str]]:
    """Class and text of every cell of the heat maps that has a title, by site."""
    found = re.findall(r'<td class="([^"]*)" title="([^":]*): [^"]*">([^<]*)</td>', to_html(report))
    return {site: (style, text) for style, site, text in reversed(found)}


def test_the_map_shows_every_site_and_tells_making_from_inheriting():
    found = cells(REPORT)
    assert set(found) == {comparison.site for comparison in SITES}
    assert found["layers.0.attention.key"] == ("e15", "\N{MINUS SIGN}15")
    assert found["layers.1.attention.key"] == ("e1 bad made", "\N{BLACK DIAMOND}\N{THIN SPACE}\N{MINUS SIGN}1")
    assert found["layers.1.mlp.output"] == ("e1 bad", "\N{MINUS SIGN}1")
    assert found["layers.2.attention.key"] == ("e-none bad", "\N{MULTIPLICATION SIGN}")
    words = Tree(to_html(REPORT)).words
    for panel in ("embedding", "layers", "parameters of layers", "parameters of the embedding", "parameters of heads"):
        assert f"Backward from the loss mlm: {panel} " in words


def test_a_layer_that_lacks_a_value_leaves_a_gap():
    sites = ("layers.0.a", "layers.1.norm", "layers.1.a")
    page = to_html(Report("a", SEMANTIC, {}, (run_of(*map(agreeing, sites)),)))
    assert page.count('class="gap"') == 1
    assert page.index('<th scope="row">norm') < page.index('<th scope="row">a<')


def test_a_pass_that_agrees_is_folded_behind_the_first():
    tree = Tree(to_html(Report("a", SEMANTIC, {}, (PASSED,))))
    assert len(tree.of("details")) == 1
    assert "Backward from the loss mlm 13 sites agree, worst 3.0e-13" in tree.words
    assert "Forward 9 sites agree, worst 3.0e-13" in tree.words
    failing = Tree(to_html(Report("a", SEMANTIC, {}, (FAILED,))))
    assert not failing.of("details")
    assert "Backward from the loss mlm 1 of 13 sites differ, worst 1.0e-03" in failing.words
