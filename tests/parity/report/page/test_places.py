"""Where a value lies in an encoder, and what is said of its error."""

import math
from importlib import resources

import pytest

from parity.report.page.places import colour, described, exponent, groups_of, parts_of, place_of, written
from tests.parity.helpers import agreeing
from tests.parity.report.page.helpers import FAILED


def test_places():
    assert place_of("layers.11.mlp.up").group == "layer 11"
    assert place_of("head.logits")[1:] == ("after", -1, "head.logits", "head.logits")
    assert place_of("d(mlm)/d(encoder.layers.1.mlp.up.weight)")[:4] == ("mlm", "layers", 1, "mlp.up.weight")
    assert groups_of(["embedding.a", "embedding.b", "layers.0.a", "layers.1.a", "layers.1.b", "out"]) == [
        *(("embedding", 2), ("layer 0", 1), ("layer 1", 2), ("out", 1))
    ]
    assert [part.title for part in parts_of(FAILED)] == ["Forward", "Backward from the loss mlm"]
    assert described(agreeing("x", problem="one\ntwo")) == "x: one"
    assert described(agreeing("x", shape=())) == "x: agrees, error 1.0e-15; float64, one number"


@pytest.mark.parametrize(
    ("error", "style", "short", "long"),
    [
        (0.0, "e-zero", "0", "0.0e+00"),
        (1e-300, "e17", "\N{MINUS SIGN}17", "1.0e-300"),
        (9.9e-11, "e11", "\N{MINUS SIGN}11", "9.9e-11"),
        (0.5, "e1", "\N{MINUS SIGN}1", "5.0e-01"),
        (7.0, "e0", "0", "7.0e+00"),
        (math.inf, "e-none", "\N{MULTIPLICATION SIGN}", "not comparable"),
    ],
)
def test_errors_in_words_and_colours(error, style, short, long):
    assert (colour(error), exponent(error), written(error)) == (style, short, long)
    assert f".{style} " in resources.files("parity.report.page").joinpath("page.css").read_text()
