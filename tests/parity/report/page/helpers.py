"""A page as a tree, and a report that has everything a page shows."""

import dataclasses
import math
from html.parser import HTMLParser

from parity.judge.compare import SEMANTIC
from parity.judge.verdict import (
    Culprit,
    Element,
    Explanation,
    PrecisionRun,
    Report,
    Run,
    Setting,
    SiteError,
)
from tests.parity.helpers import agreeing, run_of

HOSTILE = "</title></td><script>alert('1')</script>&amp;\"\x00\ud800"


class Tree(HTMLParser):
    """Refuses markup that is not nested as it should be; keeps what the tests look at."""

    def __init__(self, page: str):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.links, self.tags, self.text = [], [], [], [], []
        self.feed(page)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.handle_startendtag(tag, attributes)
        self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        given = dict(attributes)
        assert len(given) == len(attributes), f"doubled attributes of {tag}"
        self.tags.append((tag, given))
        self.text += [" "] if tag not in ("b", "wbr", "code") else []
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if tag == "a" else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join("".join(self.text).split())

    def of(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


def layered(*, error: float = 1e-15, layers: int = 3) -> list:
    """Two values in every layer, between an embedding and a head; then the derivatives by some of them."""
    names = [f"layers.{layer}.{row}" for layer in range(layers) for row in ("attention.key", "mlp.output")]
    back = [f"d(mlm)/d({name})" for name in ["head.logits", *reversed(names), "embedding.word"]]
    parameters = [f"d(mlm)/d(encoder.layers.{layer}.attention.key.weight)" for layer in range(layers)]
    parameters += ["d(mlm)/d(encoder.embedding.word.weight)", "d(mlm)/d(head.bias)"]
    sites = ["embedding.word", *names, "head.logits", "mlm", *back, *parameters]
    return [agreeing(site, error=error) for site in sites]


def changed(comparisons: list, **errors: float) -> tuple:
    """Other errors, by index."""
    return tuple(one._replace(error=errors.get(f"at{index}", one.error)) for index, one in enumerate(comparisons))


SITES = layered()
CULPRIT = Culprit(
    "layers.1.attention.key",
    ("layers.0.mlp.output", "embedding.word"),
    agreeing("layers.1.attention.key", error=0.31),
    (Element((0, 1), 0.5, 1.0), Element((1, 2), 1.25, 1.25000000125)),
    (
        Explanation("key-bias-dropped", "the key bias not loaded", "torch", 2e-16),
        Explanation("other", "something else", "JAX", 1e-12),
    ),
    ("JAX is 0.5 x torch",),
)
FAILED = Run(
    "post",
    "ragged",
    changed(SITES, at3=0.31, at4=0.2, at5=math.nan, at12=1e-3),
    replayed=changed(SITES[:9], at3=0.31),
    culprits=(CULPRIT,),
)
PASSED = run_of(*layered(error=3e-13), variant="pre", case="packed")
REPORT = Report("a against b", SEMANTIC, {"jax": "0.10"}, (PASSED, FAILED))
PRECISION = (
    PrecisionRun(
        "post", "ragged", "bfloat16", (SiteError("layers.0.a", 3e-3, 2e-3, 8e-3), SiteError("head.b", 0.0, 0.0, 0.0))
    ),
    PrecisionRun("pre", "ragged", "bfloat16", (SiteError("layers.0.a", math.nan, 2e-3, 8e-3),)),
    PrecisionRun("pre", "holes", "float32", (SiteError("layers.0.a", 1e-7, 1e-7, 0.0),)),
    PrecisionRun("pre", "packed", "float32", ()),
)
FULL = dataclasses.replace(
    REPORT,
    precision=PRECISION,
    preflight=(Setting("TF32", "off", "allowed", "torch may round"), Setting("x64", "on", "-")),
    curves={"loss": (3.0, 2.5, math.nan, 2.0), "drift": (1e-15, 1e-14, 1e-13), "none": (), "flat": (0.0, 0.0)},
    hashes={"weights": "ab" * 32},
)
