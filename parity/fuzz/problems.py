"""Random encoders on random inputs, for what no hand-made case would show; and files that repeat what failed.

What is drawn is small and plain first, so that a failure shrinks towards one layer of BERT's form on two tokens. Sizes
come from a short list: every new one makes JAX compile all its operations once more.
"""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from jax_encoder.classifier_config import ClassifierConfig
from jax_encoder.config import EncoderConfig
from parity.cases.case import Case, from_segments
from parity.encoder import random_config
from parity.encoder.bugs.catalogue import find
from parity.encoder.form import Form
from parity.encoder.pair import Pair
from parity.encoder.random_config import Chooser
from parity.encoder.session import in_dtype
from parity.errors import MismatchError, UsageError
from parity.judge.check import Compared, compare_trace
from parity.judge.crash import SideError
from parity.judge.rounding import measure, ratio
from parity.judge.verdict import PrecisionRun, SiteError
from parity.precision.deployed import Deployed

VERSION = 2
DTYPES = ("float64", "float32", "bfloat16")


class Scale(NamedTuple):
    """Sizes that go together; no two are equal but for the smallest's."""

    batch: int
    length: int
    table_dim: int
    sizes: dict[str, int]

    def draw(self, choose: Chooser, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """Those of one encoder."""
        tables = (None, self.table_dim) if drawn["mlm_activation"] is not None else (None,)
        return {**self.sizes, "table_dim": choose.one_of(tables), "num_token_types": choose.one_of((2, 0, 1, 4))}


SCALES = (
    Scale(1, 2, 6, {"vocab_size": 17, "max_len": 5, "embed_dim": 4, "num_heads": 1, "head_dim": 2, "mlp_dim": 3}),
    Scale(2, 5, 8, {"vocab_size": 19, "max_len": 11, "embed_dim": 6, "num_heads": 3, "head_dim": 4, "mlp_dim": 10}),
    Scale(5, 13, 14, {"vocab_size": 61, "max_len": 37, "embed_dim": 20, "num_heads": 6, "head_dim": 8, "mlp_dim": 28}),
)
DRAWS = 3  # of parameters and input, to tell lost digits from luck
MASKS = ("all", "lengths", "left", "segments", "anything")


@dataclasses.dataclass(frozen=True)
class Problem:
    """One model on one input.

    Attributes:
        form: of the model.
        batch, length: B and T.
        mask: kind of the mask, one of MASKS.
        positions: whether positions are given; rows by segments always have theirs.
        seed: of the parameters and of the input's content.
        dtype: "float64" compares values and derivatives, the others their rounding.
    """

    form: Form
    batch: int
    length: int
    mask: str
    positions: bool
    seed: int
    dtype: str

    def case(self) -> Case:
        """The input."""
        rng = np.random.default_rng(self.seed)
        shape, config = (self.batch, self.length), self.form.config
        columns_BT = np.broadcast_to(np.arange(self.length, dtype=np.int32), shape).copy()
        segments_BT = _segments(self.mask, shape, rng)
        positions_BT = rng.integers(0, config.max_len, shape, np.int32) if self.positions else columns_BT
        if self.mask == "segments":
            same_BTS = from_segments(segments_BT)
            positions_BT = np.tril(same_BTS, -1).sum(axis=2).astype(np.int32)
        mask_BTS = from_segments(segments_BT)
        if self.mask == "anything":
            mask_BTS = rng.random((*shape, self.length)) < 0.5
            mask_BTS[0, 0, 0] = True
        types = config.num_token_types
        return Case(
            name="fuzz",
            exposes="whatever it is that chance brings together",
            tokens_BT=rng.integers(0, config.vocab_size, shape, np.int32),
            mask_BTS=mask_BTS,
            positions_BT=positions_BT,
            token_types_BT=rng.integers(0, types, shape, np.int32) if types else None,
            segments_BT=segments_BT if self.mask == "segments" else None,
        )


def _segments(mask: str, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Documents of every row; the first row begins with one."""
    columns, (batch, length) = np.arange(shape[1])[None], shape
    lengths_B1 = rng.integers(0, length + 1, (batch, 1))
    lengths_B1[0] = length
    if mask == "lengths":
        return (columns < lengths_B1).astype(np.int32)
    if mask == "left":
        return (columns >= length - lengths_B1).astype(np.int32)
    if mask == "segments":
        starts_BT = rng.random(shape) < 0.3
        return np.where(columns < lengths_B1, 1 + starts_BT.cumsum(axis=1), 0).astype(np.int32)
    return np.ones(shape, np.int32)


class Drawn(NamedTuple):
    """Chance from a search that shrinks what it finds."""

    draw: Callable[[st.SearchStrategy], Any]

    def one_of(self, choices: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(choices))

    def integer(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))


@st.composite
def drawn(draw: Callable[[st.SearchStrategy], Any], dtypes: tuple[str, ...] = DTYPES) -> Problem:
    """All forms that a model may have, the plainest first."""
    choose = Drawn(draw)
    scale = choose.one_of(SCALES)
    room = random_config.Scale(layers=3, window=max(1, scale.length - 2), sizes=scale.draw)
    return Problem(
        random_config.draw_form(choose, room),
        scale.batch,
        scale.length,
        mask=choose.one_of(MASKS),
        positions=choose.one_of((False, True)),
        seed=choose.integer(0, 2**16),
        dtype=choose.one_of(dtypes),
    )


def values(problem: Problem, plant: str | None = None) -> Compared:
    """Compares both sides on one problem, in float64.

    Args:
        problem: what to run.
        plant: a mistake of the catalogue to make in the reference, where its form allows it.

    Raises:
        MismatchError: the two sides cannot be brought together.
        SideError: one of them raised.
    """
    pair = Pair.build(problem.form, seed=problem.seed, whole=False)  # of few sizes, whose operations are soon compiled
    bug = None if plant is None else find(plant)
    if bug is not None and bug.applies(problem.form):
        pair = pair.with_bug(bug, "torch")
    return compare_trace(pair(problem.case()))


def rounding(problem: Problem) -> PrecisionRun:
    """The errors of one problem in its dtype.

    Of several draws of parameters and input, each site counts by the one in which it does best: theirs may be exact by
    luck where a site has few entries, and a program that loses digits loses them in every draw.
    """
    drawn = []
    with in_dtype(problem.dtype):
        program = None
        for seed in range(problem.seed, problem.seed + DRAWS):
            pair = Deployed.build(problem.form, problem.dtype, seed)
            program = program or pair.program()
            trace = pair.trace(dataclasses.replace(problem, seed=seed).case(), program)
            drawn.append(measure(trace, problem.dtype))
    return PrecisionRun("fuzz", "fuzz", problem.dtype, tuple(_best(errors) for errors in zip(*drawn, strict=True)))


def _best(errors: tuple[SiteError, ...]) -> SiteError:
    """The one nearest to what is allowed or furthest below it; what cannot be measured in one draw is wrong in all."""
    return next((error for error in errors if not math.isfinite(error.ours)), min(errors, key=ratio))


def reason_of(problem: Problem, plant: str | None = None) -> str:
    """What fails, in a line; empty if nothing does."""
    try:
        if problem.dtype != "float64":
            measured = rounding(problem)
            first = measured.first_to_differ
            return "" if first is None else f"{measured.dtype} loses digits at {measured.errors[first].site}"
        differing = values(problem, plant).differing
    except (MismatchError, SideError) as error:
        return str(error)
    return f"{differing[0].site} differs" if differing else ""


def to_json(problem: Problem, plant: str | None, reason: str) -> str:
    """A replay file: the problem, and what it showed."""
    form = problem.form
    model = {**form._asdict(), "config": json.loads(form.config.to_json())}
    model |= {"classifier": None if form.classifier is None else dataclasses.asdict(form.classifier)}
    fields = {**vars(problem), "form": model}
    return json.dumps({"version": VERSION, "plant": plant, "reason": reason, "problem": fields}, indent=2) + "\n"


def from_json(text: str) -> tuple[Problem, str | None, str]:
    """Reads a replay file: the problem, the planted mistake, and what it showed.

    Raises:
        UsageError: not such a file, or of another version.
    """
    try:
        record = json.loads(text)
        if record["version"] != VERSION:
            raise UsageError(f"a replay file of version {record['version']!r} cannot be read, must be {VERSION}")
        fields, model = record["problem"], record["problem"].pop("form")
        config = EncoderConfig.from_json(json.dumps(model.pop("config")))
        classes = model.pop("classifier")
        form = Form(config, classifier=None if classes is None else ClassifierConfig(**classes), **model)
        return Problem(form=form, **fields), record["plant"], record["reason"]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"not a replay file: {type(error).__name__}: {error}") from error
