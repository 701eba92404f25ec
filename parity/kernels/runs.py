"""Every implementation on every case that it takes: in float64 where it has that, and in the deployed dtypes."""

import functools
from collections.abc import Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jax_encoder.kernels import table
from jax_encoder.kernels.sight import Attend
from parity.encoder.session import in_dtype
from parity.encoder.subject import EncoderSubject
from parity.judge import explain as planting
from parity.judge.check import Progress, attempt, choose, compare_trace, run_of
from parity.judge.compare import SEMANTIC
from parity.judge.crash import SideError
from parity.judge.outcome import Outcome, judged
from parity.judge.rounding import DIGITS, PrecisionTrace, measure
from parity.judge.subject import Difference, Part, Structure, Trace
from parity.judge.verdict import Explanation, PrecisionRun, Report, Run, Verdict
from parity.kernels import lowering
from parity.kernels.bugs import KERNEL_BUGS
from parity.kernels.matrix import CASES, Shape, draw, inadequacies
from parity.kernels.sides import NAMES, Sites, of_jax, of_torch, rounded

DTYPES = ("float64", *DIGITS)


def check_kernels(
    implementations: Sequence[str] | None = None,
    cases: Sequence[str] | None = None,
    dtypes: Sequence[str] | None = None,
    *,
    progress: Progress = lambda implementation, case: None,
) -> Report:
    """Compares every chosen implementation with the reference, forward and backward, and lowers it for its devices.

    What is made for another device is run by its interpreter, and never passes.

    Raises:
        UsageError: a name is unknown.
    """
    names, parts = planned(implementations, cases, dtypes)
    runs: list[Run] = []
    precision: list[PrecisionRun] = []
    for name, case, dtype in parts:
        progress(f"{name} in {dtype}", case)
        with in_dtype(dtype), jax.default_matmul_precision("highest"):
            if dtype == "float64":
                runs.append(attempt(name, case, functools.partial(run_semantic, name, case)))
            else:
                precision.append(_run_deployed(name, case, dtype))
    for name in names:
        progress(name, "lowered")
        runs += lowering.runs(name)
    with EncoderSubject().session():
        environment = {
            **EncoderSubject().environment(),
            "dtype": ", ".join(dict.fromkeys(dtype for _, _, dtype in parts)),
        }
    subject = "implementations of attention in jax_encoder against torch_ref's arithmetic"
    return Report(subject, SEMANTIC, environment, tuple(runs), tuple(precision))


def planned(
    implementations: Sequence[str] | None, cases: Sequence[str] | None, dtypes: Sequence[str] | None
) -> tuple[Sequence[str], list[tuple[str, str, str]]]:
    """The implementations that are asked for, and what each is to run: itself, a case that it takes, and a dtype.

    Raises:
        UsageError: a name is unknown.
    """
    names = choose("implementation", implementations, table.IMPLEMENTATIONS)
    cases, dtypes = choose("case", cases, CASES), choose("dtype", dtypes, DTYPES)
    every = ((name, case, dtype) for dtype in dtypes for name in names for case in cases)
    return names, [part for part in every if _taken(part[0], CASES[part[1]], part[2])]


def _taken(name: str, shape: Shape, dtype: str) -> bool:
    """Whether an implementation computes a case at all."""
    layer = table.Layer(
        platform=table.platform(),
        dtype=dtype,
        head_dim=shape.head_dim,
        length=draw(shape).query.shape[2],
        window=shape.window,
        relative=None,
        drops=False,
    )
    return not table.IMPLEMENTATIONS[name].refuses(layer)


def interpreted(name: str) -> bool:
    """Whether an implementation is for another device than this process's."""
    return table.platform() not in table.IMPLEMENTATIONS[name].platforms


def attend_of(name: str) -> Attend:
    """An implementation as it runs here."""
    return table.IMPLEMENTATIONS[name].attend(interpreted(name))


def _worth(name: str) -> Verdict:
    return Verdict.INTERPRETED if interpreted(name) else Verdict.PASS


def run_semantic(name: str, case: str, bug: str | None = None) -> Run:
    """One implementation on one case in float64, or what one with a mistake computes."""
    shape = CASES[case]
    actual = planted(bug, case) if bug else of_jax(attend_of(name), draw(shape), shape, jnp.float64)
    expected = of_torch(shape, inputs="float64", compute="float64")
    explain = functools.partial(_explained, case, _named(actual), _named(expected))
    reads: dict[str, tuple[str, ...]] = dict.fromkeys(NAMES, ())
    # All are computed from query, key and value alone: each is its own replay.
    part = Part(actual, expected, lambda: actual, {}, explain)
    trace = Trace((part,), inadequacies(shape), lambda: Structure(reads, lambda _: "BNTH"))
    return run_of(name, case, compare_trace(trace, replay=True), inadequacies(shape))


@functools.cache
def planted(bug: str, case: str) -> Sites:
    """What an implementation with a mistake computes, once for every case."""
    shape = CASES[case]
    return of_jax(next(one for one in KERNEL_BUGS if one.name == bug).plant(), draw(shape), shape, jnp.float64)


def _run_deployed(name: str, case: str, dtype: str) -> PrecisionRun:
    """One implementation on one case in a dtype that it is deployed in, beside torch in that dtype."""
    shape = CASES[case]
    try:
        trace = PrecisionTrace(
            of_torch(shape, inputs=dtype, compute="float64"),
            of_jax(attend_of(name), rounded(draw(shape), dtype), shape, dtype),
            of_torch(shape, inputs=dtype, compute=dtype),
        )
    except SideError as error:
        return PrecisionRun(name, case, dtype, (), crash=error.crash)
    return PrecisionRun(name, case, dtype, measure(trace, dtype), agreed=_worth(name))


def _explained(
    case: str,
    ours: Mapping[str, np.ndarray],
    theirs: Mapping[str, np.ndarray],
    differences: Sequence[Difference],
    _: Sequence[Difference],
) -> list[tuple[Explanation, ...]]:
    """The mistakes that give what ours computes, the same for every difference of a case."""
    wrong = (
        (planting.Suspect(bug.name, bug.mistake), _named(planted(bug.name, case)))
        for bug in KERNEL_BUGS
        if CASES[case].window is not None or not bug.windowed
    )
    named = planting.explain(wrong, theirs, (ours, theirs), _residual)
    return [named] * len(differences)


def _named(sites: Sites) -> dict[str, np.ndarray]:
    return {site.name: site.value for site in sites}


def _residual(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> float:
    """The largest difference relative to an array's scale; what is no number on both sides is equal."""
    worst = 0.0
    for name, expected in other.items():
        actual = one[name]
        if (np.isfinite(actual) != np.isfinite(expected)).any():
            return float("inf")
        kept = np.isfinite(expected)
        scale = np.abs(expected[kept]).max(initial=0.0) or 1.0
        worst = max(worst, float(np.abs(actual[kept] - expected[kept]).max(initial=0.0) / scale))
    return worst


def outcomes(names: frozenset[str] | None = None) -> Iterator[Outcome]:
    """Makes every mistake in an implementation on purpose, and asks the check about it; None takes all."""
    for bug in KERNEL_BUGS:
        if names is None or bug.name in names:
            yield judged(bug, "JAX", "kernels", run_semantic(table.EINSUM, bug.case, bug.name))
