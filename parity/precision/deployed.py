"""Both encoders in the dtype that they are deployed in, with equal parameters, beside the reference in float64.

Ours keeps its parameters in float32 and computes in the dtype, as training does. The reference is cast as a whole
(`model.to(dtype)`), which is how a bfloat16 encoder is served; autocast would keep its residual stream in float32, and
ours is in the dtype. Scores, softmax, the statistics of norms and rotary angles are float32 or wider on both sides.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

from jax_encoder.params import Params, named, nested, params_of, shapes, with_params
from parity.cases import word_table
from parity.cases.case import Case
from parity.cases.randomise import randomise
from parity.encoder.form import Form
from parity.encoder.inputs import Inputs
from parity.encoder.sides import TorchSide, Values, jax_side, values_of_jax, values_of_torch
from parity.encoder.table import Arrays, match
from parity.encoder.weights import draws, rows
from parity.graph import programs
from parity.judge.crash import running
from parity.judge.rounding import PrecisionTrace
from parity.judge.sites import Site, flatten
from parity.precision.bugs import PrecisionBug
from parity.precision.fewer_digits import planted

WORD = "encoder.embedding.word"

Program = Callable[..., Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Deployed:
    """One encoder in one dtype, to be used within `in_dtype`.

    Attributes:
        form: of all three.
        dtype: that is deployed.
        model: ours, abstract.
        params: ours, by name; float64 that the dtype can hold, so that no side rounds them and no rounding of theirs
            counts as error.
        reference: in float64.
        theirs: in the dtype.
    """

    form: Form
    dtype: str
    model: Any
    params: Arrays
    reference: TorchSide
    theirs: TorchSide

    @classmethod
    def build(cls, form: Form, dtype: str, seed: int = 0) -> "Deployed":
        """Draws every parameter at random.

        Args:
            form: of all three; it runs as it is deployed, without dropout where its rates are 0.
            dtype: "float32", "bfloat16", or "float64" to see what a mistake does there.
            seed: of the parameters.

        Raises:
            MismatchError: parameters are not one to one.
        """
        with running("JAX"):
            model = jax_side(form, dtype)
            ours = shapes(named(params_of(model)))
        with running("torch"):
            reference = TorchSide(form).double().eval()
        table = match(rows(form.config), ours, {name: tuple(p.shape) for name, p in reference.state_dict().items()})
        drawn = randomise(ours, draws(form.config), seed)
        params = {name: _rounded(array, dtype) for name, array in drawn.items()}
        weights = {name: torch.from_numpy(array) for name, array in table.to_torch(params).items()}
        theirs = TorchSide(form).to(getattr(torch, dtype)).eval()
        for side in (reference, theirs):
            side.load_state_dict(weights, strict=True)
        return cls(form, dtype, model, params, reference, theirs)

    def program(self, bug: PrecisionBug | None = None) -> Program:
        """Our encoder, compiled as any program is; with a mistake in it, if one is given."""

        graph = nnx.graphdef(self.model)

        def run(params: Params, encoder: dict[str, Any]) -> Values:
            return values_of_jax(with_params(graph, params), encoder)[1]

        return jax.jit(planted(run, bug))

    def trace(self, case: Case, program: Program) -> PrecisionTrace:
        """Runs all three on one case."""
        programs.give_back()
        inputs = Inputs.of(case, self.form)
        word_VD = self._word_table(inputs)
        torch_sides = (_run_torch(side, inputs, word_VD) for side in (self.reference, self.theirs))
        reference, theirs = (_sites(values, case) for values in torch_sides)
        return PrecisionTrace(reference, self.ours(case, program), theirs)

    def ours(self, case: Case, program: Program) -> tuple[Site, ...]:
        """Runs our side alone."""
        inputs = Inputs.of(case, self.form)
        word_VD = self._word_table(inputs)
        with running("JAX"):
            return _sites(program(self._params(word_VD), inputs.for_jax()), case)

    def _params(self, word_VD: np.ndarray) -> Params:
        given, leaves = {**self.params, WORD: word_VD}, named(params_of(self.model))
        return nested({name: jnp.asarray(given[name], leaf.dtype) for name, leaf in leaves.items()})

    def _word_table(self, inputs: Inputs) -> np.ndarray:
        """The word table that the case asks for, as the dtype can hold it."""
        case, word_VD = inputs.case, self.params[WORD]
        if not case.low_variance and case.poison is None:
            return word_VD
        embedding = _run_torch(self.reference, inputs, word_VD).embedding
        parts = [np.asarray(part) for part in (embedding.position, embedding.token_type) if part is not None]
        rest_BTD = sum(parts, np.zeros(embedding.word.shape))
        return _rounded(word_table.prepare(word_VD, rest_BTD, case, self.form.config.norm_eps), self.dtype)


@torch.no_grad()
def _run_torch(side: TorchSide, inputs: Inputs, word_VD: np.ndarray) -> Values:
    side.encoder.embedding.word.weight.copy_(torch.from_numpy(word_VD))
    with running("torch"):
        _, values = values_of_torch(side, inputs.for_torch())
    # numpy cannot read torch's bfloat16, whose values are all float32's, too; nor a parameter that is a value itself.
    return jax.tree.map(lambda value: (value.float() if value.dtype == torch.bfloat16 else value).detach(), values)


def _sites(values: Values, case: Case) -> tuple[Site, ...]:
    """The decoder is the word table: a table with a row of NaN has a NaN logit, rightly."""
    return flatten(values if case.poison is None else values._replace(head=None))


def _rounded(array: np.ndarray, dtype: str) -> np.ndarray:
    return np.asarray(torch.from_numpy(np.ascontiguousarray(array)).to(getattr(torch, dtype)).double())
