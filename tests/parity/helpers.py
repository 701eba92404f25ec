"""A small program written twice, to check the checker on: one attention head over embedded tokens, in numpy."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from parity.cases import word_table
from parity.cases.case import Case, Sizes
from parity.cases.randomise import Rule, randomise
from parity.encoder.table import Row, match
from parity.judge.compare import Comparison
from parity.judge.crash import running
from parity.judge.sites import Site, collect, flatten
from parity.judge.subject import Part, Trace
from parity.judge.verdict import Run, Setting

V, P, D = 61, 37, 8
EPS = 1e-6
JAX_SHAPES = {"word": (V, D), "position": (P, D), "key.kernel": (D, D), "key.bias": (D,), "norm.scale": (D,)}
TORCH_SHAPES = {
    "word.weight": (V, D),
    "position.weight": (P, D),
    "key.weight": (D, D),
    "key.bias": (D,),
    "norm.weight": (D,),
}
ROWS = (
    Row("(word|position)", r"\1.weight"),
    Row(r"key\.kernel", "key.weight", lambda w_DF: w_DF.T, lambda w_FD: w_FD.T),
    Row(r"key\.bias", "key.bias"),
    Row(r"norm\.scale", "norm.weight"),
)
RULES = (
    Rule("word|position", "table"),
    Rule(".*kernel", "kernel", D),
    Rule(".*bias", "bias"),
    Rule(".*scale", "scale"),
)
LOWEST = float(np.finfo(np.float64).min)


class AttentionTaps(NamedTuple):
    key: np.ndarray
    scores: np.ndarray
    masked_scores: np.ndarray
    weights: np.ndarray


class Taps(NamedTuple):
    total: np.ndarray
    norm: np.ndarray
    attention: AttentionTaps
    context: np.ndarray


def sizes(**changes) -> Sizes:
    given = {"batch": 5, "length": 13, "vocab_size": V, "max_len": P, "num_token_types": 3, "windows": (None, 3)}
    return Sizes(**(given | {"model_sizes": (D,)} | changes))


def softmax(scores_BTS: np.ndarray) -> np.ndarray:
    powers_BTS = np.exp(scores_BTS - scores_BTS.max(axis=-1, keepdims=True))
    return powers_BTS / powers_BTS.sum(axis=-1, keepdims=True)


def run_batched(params: Mapping[str, np.ndarray], case: Case) -> Taps:
    """All rows at once, by einsum."""
    tokens_BT, mask_BTS = case.tokens_BT, case.mask_BTS
    position_BT = np.arange(tokens_BT.shape[1])[None] if case.positions_BT is None else case.positions_BT
    total_BTD = np.where(case.seen_BS[..., None], params["word"][tokens_BT] + params["position"][position_BT], 0)
    centred_BTD = total_BTD - total_BTD.mean(axis=-1, keepdims=True)
    norm_BTD = centred_BTD / np.sqrt((centred_BTD**2).mean(axis=-1, keepdims=True) + EPS) * params["norm.scale"]
    key_BTD = np.einsum("BTD,DF->BTF", norm_BTD, params["key.kernel"]) + params["key.bias"]
    scores_BTS = np.einsum("BTD,BSD->BTS", norm_BTD, key_BTD) / np.sqrt(D)
    masked_BTS = np.where(mask_BTS, scores_BTS, LOWEST)
    weights_BTS = np.where(mask_BTS, softmax(masked_BTS), 0)
    attention = AttentionTaps(key_BTD, scores_BTS, masked_BTS, weights_BTS)
    return Taps(total_BTD, norm_BTD, attention, np.einsum("BTS,BSD->BTD", weights_BTS, norm_BTD))


def run_rowwise(params: Mapping[str, np.ndarray], case: Case) -> Taps:
    """One row of the batch after the other, by matrix products."""
    rows = [_run_row(params, case, b) for b in range(len(case.tokens_BT))]
    total, norm, attention, context = zip(*rows, strict=True)
    taps = AttentionTaps(*(np.stack(values) for values in zip(*attention, strict=True)))
    return Taps(np.stack(total), np.stack(norm), taps, np.stack(context))


def _run_row(params: Mapping[str, np.ndarray], case: Case, b: int) -> Taps:
    mask_TS, seen_S = case.mask_BTS[b], case.mask_BTS[b].any(axis=0)
    total_TD = np.zeros((len(seen_S), D))
    for t in np.flatnonzero(seen_S):
        position = t if case.positions_BT is None else case.positions_BT[b, t]
        total_TD[t] = params["word.weight"][case.tokens_BT[b, t]] + params["position.weight"][position]
    deviation_T1 = np.sqrt(total_TD.var(axis=1, keepdims=True) + EPS)
    norm_TD = (total_TD - total_TD.mean(axis=1, keepdims=True)) / deviation_T1 * params["norm.weight"]
    key_TD = norm_TD @ params["key.weight"].T + params["key.bias"]
    scores_TS = norm_TD @ key_TD.T * D**-0.5
    masked_TS = scores_TS.copy()
    masked_TS[~mask_TS] = LOWEST
    weights_TS = np.zeros_like(scores_TS)
    for t in np.flatnonzero(mask_TS.any(axis=1)):
        weights_TS[t, mask_TS[t]] = softmax(scores_TS[t, mask_TS[t]])
    return Taps(total_TD, norm_TD, AttentionTaps(key_TD, scores_TS, masked_TS, weights_TS), weights_TS @ norm_TD)


Sites = tuple[Site, ...]


@dataclasses.dataclass(frozen=True)
class ToyVariant:
    """The program, with a mistake planted in the parameters, the case or the values of its second form."""

    sizes: Sizes = dataclasses.field(default_factory=sizes)
    rows: tuple[Row, ...] = ROWS
    break_params: Callable[[dict], dict] = lambda params: params
    break_case: Callable[[Case], Case] = lambda case: case
    break_sites: Callable[[Sites], Sites] = lambda found: found
    prepare: Callable[..., np.ndarray] = word_table.prepare
    by_default: bool = True
    ours: Callable[[Mapping[str, np.ndarray], Case], Taps] = run_batched

    def build(self) -> Callable[[Case], Trace]:
        table = match(self.rows, JAX_SHAPES, TORCH_SHAPES)
        params = randomise(JAX_SHAPES, RULES, seed=0)
        table.check_round_trip(params)

        def run(case: Case) -> Trace:
            columns_BT = np.broadcast_to(np.arange(case.tokens_BT.shape[1]), case.tokens_BT.shape)
            rest_BTD = params["position"][columns_BT if case.positions_BT is None else case.positions_BT]
            word_VD = self.prepare(params["word"], rest_BTD, case, EPS)
            ours = params | {"word": word_VD}
            theirs = self.break_params(table.to_torch(ours))
            with running("JAX"):
                actual = collect(flatten(self.ours(ours, case)))
            with running("torch"):
                expected = self.break_sites(collect(flatten(run_rowwise(theirs, self.break_case(case)))))
            return Trace((Part(actual, expected),), word_table.inadequacies(word_VD, rest_BTD, case, EPS))

        return run


@dataclasses.dataclass
class ToySubject:
    """What the command line checks, if told to. Counts how often its session was entered and left."""

    forms: Mapping[str, ToyVariant] = dataclasses.field(
        default_factory=lambda: {"one": ToyVariant(), "two": ToyVariant()}
    )
    name: str = "a head against itself"
    log: list[str] = dataclasses.field(default_factory=list)

    def variants(self) -> Mapping[str, ToyVariant]:
        return self.forms

    def environment(self) -> Mapping[str, str]:
        return {"numpy": np.__version__}

    def preflight(self, dtypes: Sequence[str]) -> tuple[Setting, ...]:
        return (Setting("numpy", np.__version__, np.__version__), Setting("dtypes", ",".join(dtypes), ",".join(dtypes)))

    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        self.log.append("enter")
        try:
            yield
        finally:
            self.log.append("leave")


def without_key_bias(params: dict) -> dict:
    """A mistake: the bias of the keys was never loaded."""
    return params | {"key.bias": params["key.bias"] * 0}


def agreeing(site: str = "site", **changes) -> Comparison:
    """A comparison that proves something."""
    values = {"worst_index": (0, 1), "actual": 0.5, "expected": 0.5, "compared": 6, "scale": 2.0, "spread": 3.0}
    return Comparison(site, (2, 3), "float64", 1e-15, 1e-10, **values)._replace(**changes)


def run_of(*comparisons: Comparison, variant: str = "one", case: str = "ragged", **rest) -> Run:
    return Run(variant, case, comparisons, **rest)
