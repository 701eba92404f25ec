"""Both encoders in the dtype that they are deployed in, with equal parameters, beside the reference in float64.

Ours keeps its parameters in float32 and computes in the dtype, as training does. The reference is cast as a whole
(`model.to(dtype)`), which is how a bfloat16 encoder is served; autocast would keep its residual stream in float32, and
ours is in the dtype. Scores, softmax, the statistics of norms and rotary angles are float32 or wider on both sides.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

import jax_encoder
import torch_ref
from jax_encoder import masks as jax_masks
from jax_encoder.config import EncoderConfig
from jax_encoder.precision import at_least_float32
from parity.cases import word_table
from parity.cases.case import Case
from parity.cases.randomise import randomise
from parity.encoder.inputs import Inputs
from parity.encoder.sides import TorchSide
from parity.encoder.table import Arrays, match
from parity.encoder.weights import draws, rows
from parity.graph import programs
from parity.judge.rounding import PrecisionTrace
from parity.judge.sites import Site, flatten
from parity.precision.bugs import PrecisionBug
from parity.precision.fewer_digits import planted
from torch_ref import masks as torch_masks

WORD = "lm.encoder.embedding.word"

Program = Callable[..., Any]


class Values(NamedTuple):
    """Every value of one side, in the order computed; None where a case or config has no such value."""

    embedding: Any
    embedding_projection: Any | None
    relative_bias: Any | None
    layers: tuple[Any, ...]
    final_norm: Any | None
    output: Any
    head: Any | None
    pooler: Any
    mean_pool: Any


class JaxSide(nnx.Module):
    """Everything of ours that has parameters."""

    def __init__(self, config: EncoderConfig, dtype: str):
        param_dtype = at_least_float32(dtype)
        options = {"rngs": nnx.Rngs(0), "dtype": jnp.dtype(dtype), "param_dtype": param_dtype}
        self.lm = jax_encoder.MaskedLM(config, **options)
        self.pooler = jax_encoder.Pooler(config, **options)


@dataclasses.dataclass(frozen=True, eq=False)
class Deployed:
    """One encoder in one dtype, to be used within `in_dtype`.

    Attributes:
        params: ours, by name; float64 that the dtype can hold, so that no side rounds them and no rounding of theirs
            counts as error.
        reference: in float64.
        theirs: in the dtype.
    """

    config: EncoderConfig
    dtype: str
    graphdef: Any
    variables: Any
    params: Arrays
    reference: TorchSide
    theirs: TorchSide

    @classmethod
    def build(cls, config: EncoderConfig, dtype: str, seed: int = 0) -> "Deployed":
        """Draws every parameter at random.

        Args:
            config: of the encoder.
            dtype: "float32", "bfloat16", or "float64" to see what a mistake does there.
            seed: of the parameters.

        Raises:
            MismatchError: parameters are not one to one.
        """
        graphdef, state = nnx.split(nnx.eval_shape(lambda: JaxSide(config, dtype)))
        variables = nnx.to_flat_state(state)
        shapes = {_name(path): leaf.shape for path, leaf in variables}
        reference = TorchSide(config, pooler=True).double().eval()
        table = match(rows(config), shapes, {name: tuple(p.shape) for name, p in reference.state_dict().items()})
        drawn = randomise(shapes, draws(config), seed)
        params = {name: _rounded(array, dtype) for name, array in drawn.items()}
        weights = {name: torch.from_numpy(array) for name, array in table.to_torch(params).items()}
        theirs = TorchSide(config, pooler=True).to(getattr(torch, dtype)).eval()
        for side in (reference, theirs):
            side.load_state_dict(weights, strict=True)
        return cls(config, dtype, graphdef, variables, params, reference, theirs)

    def program(self, bug: PrecisionBug | None = None) -> Program:
        """Our encoder, compiled as any program is; with a mistake in it, if one is given."""

        def run(state: Any, encoder: dict[str, Any]) -> Values:
            return _run_jax(nnx.merge(self.graphdef, state), encoder)

        return jax.jit(planted(run, bug))

    def trace(self, case: Case, program: Program) -> PrecisionTrace:
        """Runs all three on one case."""
        programs.give_back()
        inputs = Inputs.of(case, self.config, pooler=True)
        word_VD = self._word_table(inputs)
        torch_sides = (_run_torch(side, inputs, word_VD) for side in (self.reference, self.theirs))
        reference, theirs = (_sites(values, case) for values in torch_sides)
        return PrecisionTrace(reference, self.ours(case, program), theirs)

    def ours(self, case: Case, program: Program) -> tuple[Site, ...]:
        """Runs our side alone."""
        inputs = Inputs.of(case, self.config, pooler=True)
        return _sites(program(self._state(self._word_table(inputs)), inputs.for_jax()), case)

    def _state(self, word_VD: np.ndarray) -> Any:
        params = {**self.params, WORD: word_VD}
        leaves = [(path, leaf, params[_name(path)]) for path, leaf in self.variables]
        return nnx.from_flat_state([(path, leaf.replace(jnp.asarray(v, leaf.dtype))) for path, leaf, v in leaves])

    def _word_table(self, inputs: Inputs) -> np.ndarray:
        """The word table that the case asks for, as the dtype can hold it."""
        case, word_VD = inputs.case, self.params[WORD]
        if not case.low_variance and case.poison is None:
            return word_VD
        embedding = _run_torch(self.reference, inputs, word_VD).embedding
        parts = [np.asarray(part) for part in (embedding.position, embedding.token_type) if part is not None]
        rest_BTD = sum(parts, np.zeros(embedding.word.shape))
        return _rounded(word_table.prepare(word_VD, rest_BTD, case, self.config.norm_eps), self.dtype)


def _run_jax(side: JaxSide, encoder: dict[str, Any]) -> Values:
    output_BTD, taps = side.lm.encoder(**encoder)
    _, head_taps = side.lm.head(output_BTD, side.lm.encoder.embedding.word[...])
    pooled_BD = jax_encoder.mean_pool(output_BTD, jax_masks.seen(encoder["mask_BTS"]))
    return Values(*taps, output_BTD, head_taps, side.pooler(output_BTD)[1], pooled_BD)


@torch.no_grad()
def _run_torch(side: TorchSide, inputs: Inputs, word_VD: np.ndarray) -> Values:
    encoder, word = inputs.for_torch(), side.lm.encoder.embedding.word.weight
    word.copy_(torch.from_numpy(word_VD))
    output_BTD, taps = side.lm.encoder(**encoder)
    _, head_taps = side.lm.head(output_BTD, word)
    pooled_BD = torch_ref.mean_pool(output_BTD, torch_masks.seen(encoder["mask_BTS"]))
    assert side.pooler is not None
    parts = (taps.embedding, taps.embedding_projection, taps.relative_bias, taps.layers, taps.final_norm)
    values = Values(*parts, output_BTD, head_taps, side.pooler(output_BTD)[1], pooled_BD)
    # numpy cannot read torch's bfloat16; all of its values are float32's, too.
    return jax.tree.map(lambda value: value.float() if value.dtype == torch.bfloat16 else value, values)


def _sites(values: Values, case: Case) -> tuple[Site, ...]:
    """The decoder is the word table: a table with a row of NaN has a NaN logit, rightly."""
    return flatten(values if case.poison is None else values._replace(head=None))


def _rounded(array: np.ndarray, dtype: str) -> np.ndarray:
    return np.asarray(torch.from_numpy(np.ascontiguousarray(array)).to(getattr(torch, dtype)).double())


def _name(path: tuple[str, ...]) -> str:
    return ".".join(map(str, path))
