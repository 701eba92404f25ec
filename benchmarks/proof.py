"""The proof of one case beside what it is a proof of: one forward and backward of both models. Both in one process."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import torch

from benchmarks.workers import Record, serve, timed
from parity.cases.case import make_case
from parity.encoder.inputs import Inputs
from parity.encoder.pair import Pair
from parity.encoder.session import in_float64
from parity.encoder.sides import run_torch_as_trained
from parity.encoder.variants import presets, sizes_of
from parity.judge.check import compare_trace

# Packed rows, which are what training runs.
CASE = "packed"


def prepared(spec: Record) -> tuple[Record, Callable[[], Record]]:
    """Builds both models, runs everything twice, and times the proof and the plain steps in turn.

    Args:
        spec: "encoder", a preset's name.
    """
    form = presets()[spec["encoder"]]
    case = make_case(CASE, sizes_of(form.config))
    with in_float64():
        pair = Pair.build(form)
        prove, plain = lambda: compare_trace(pair(case), replay=True), _plain(pair, case)
        first = timed(prove)["seconds"]
        # A second case of a shape is when the programs are compiled as a whole.
        found = prove()
        plain()
    compared = {
        "values": len(found.comparisons),
        "replayed": len(found.replayed),
        "agree": sum(one.agrees for one in (*found.comparisons, *found.replayed)),
    }

    def measure() -> Record:
        with in_float64():
            return {"proof": timed(prove), "plain": timed(plain)}

    return {"first_seconds": first, "tokens": case.tokens_BT.size, **compared}, measure


def _plain(pair: Pair, case: Any) -> Callable[[], None]:
    """One forward and backward of both, as training has them, without a tap."""
    inputs = Inputs.of(case, pair.form)
    params = {name: jnp.asarray(array) for name, array in pair.ours.items()}
    theirs = list(pair.torch_model.parameters())

    def run() -> None:
        jax.block_until_ready(pair.jax.as_trained(params, inputs))
        loss = pair.torch_model(inputs, run_torch_as_trained)
        torch.autograd.grad(loss, theirs, allow_unused=True)

    return run


if __name__ == "__main__":
    serve(prepared)
