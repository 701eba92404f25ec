"""Both encoders with equal parameters, run on a case: what `parity.check` compares."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

from jax_encoder.config import EncoderConfig
from parity import jax_graph, programs, word_table
from parity.bugs.model import JaxPlot, ModelBug, Patch
from parity.cases import Case, make_case
from parity.check import compare_trace
from parity.compare import Comparison
from parity.encoder import backward
from parity.encoder.diagnose import Evidence, copy_of, explain
from parity.encoder.inputs import Inputs, array, tensor
from parity.encoder.sides import (
    LOSSES,
    RUN_AS_TRAINED,
    JaxInputs,
    JaxSide,
    TorchSide,
    planted,
    run_jax,
    run_jax_compiled,
    run_torch,
    run_torch_as_trained,
)
from parity.encoder.variants import sizes_of
from parity.encoder.weights import axes_of, draws, rows
from parity.errors import MismatchError
from parity.locate import feedable
from parity.randomise import randomise
from parity.sites import Site, flatten, leaves, paths
from parity.subject import Difference, Part, Replay, Trace
from parity.verdict import Explanation
from parity.weights import Table, match

WORD, TORCH_WORD = "lm.encoder.embedding.word", "lm.encoder.embedding.word.weight"
Params = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True, eq=False)
class JaxProgram:
    """Our side of one config, without its parameters: as it is deployed, and spelled out to be cut."""

    config: EncoderConfig
    pooler: bool
    patch: Patch = dataclasses.field(default_factory=Patch)  # a mistake in our code
    _graphs: dict[Any, jax_graph.Graph] = dataclasses.field(default_factory=dict, init=False)

    @functools.cached_property
    def _split(self) -> tuple[Any, Any]:
        graphdef, state = nnx.split(nnx.eval_shape(lambda: JaxSide(self.config, pooler=self.pooler)))
        return graphdef, nnx.to_flat_state(state)

    @functools.cached_property
    def _spelled_out(self) -> Any:
        config = dataclasses.replace(self.config, scan_layers=False)
        return nnx.graphdef(nnx.eval_shape(lambda: JaxSide(config, pooler=self.pooler)))

    @functools.cached_property
    def _language_model(self) -> Any:
        return nnx.graphdef(nnx.eval_shape(lambda: JaxSide(self.config, pooler=False)).lm)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of every parameter."""
        return {".".join(map(str, path)): leaf.shape for path, leaf in self._split[1]}

    def state(self, params: Mapping[str, Any]) -> Any:
        """The parameters as flax takes them."""
        leaves = [(path, leaf.replace(params[".".join(map(str, path))])) for path, leaf in self._split[1]]
        return nnx.from_flat_state(leaves)

    def values(self, params: jax_graph.Params, inputs: JaxInputs) -> tuple[Site, ...]:
        """Every value, by the program in the form that the config asks for."""
        if self.patch:
            return _sites(self.graph(params, inputs).replay(params, inputs, {}))
        return flatten(run_jax_compiled(self._split[0], self.state(params), inputs))

    def graph(self, params: jax_graph.Params, inputs: JaxInputs) -> jax_graph.Graph:
        """The same program with its layers spelled out, to be cut at its values; traced once for inputs of a shape."""
        leaves, form = jax.tree.flatten(inputs)
        settings: Any = jax.config
        key = (settings.jax_default_matmul_precision, form, *((leaf.shape, leaf.dtype) for leaf in leaves))
        if key not in self._graphs:
            with self.patch.active():
                self._graphs[key] = jax_graph.trace(
                    lambda params, inputs: run_jax(nnx.merge(self._spelled_out, self.state(params)), inputs),
                    params,
                    inputs,
                )
            if not programs.quick_by_default():
                self._graphs[key] = self._graphs[key].compiled()
        elif not self.patch:  # a second case: from now on it pays to compile
            self._graphs[key] = self._graphs[key].compiled()
        return self._graphs[key]

    def as_trained(self, params: jax_graph.Params, inputs: Inputs) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Loss and gradients of the program that training runs."""
        lm = nnx.to_pure_dict(self.state(params)["lm"])
        loss, grads = RUN_AS_TRAINED[not self.pooler](self._language_model, lm, inputs.batch(), inputs.key)
        named = jax.tree_util.tree_leaves_with_path(grads)
        return loss, {"lm." + jax.tree_util.keystr(path, simple=True, separator="."): grad for path, grad in named}


@functools.lru_cache(maxsize=4)
def _program(config: EncoderConfig, pooler: bool) -> JaxProgram:
    """Our side, traced and compiled once for all parameters."""
    return JaxProgram(config, pooler)


@dataclasses.dataclass(frozen=True, eq=False)
class Pair:
    """Both sides of one encoder with equal parameters."""

    config: EncoderConfig
    jax: JaxProgram
    torch_model: TorchSide
    table: Table
    params: Params
    ours: Params  # our side's: the same, unless a mistake was made in them

    @classmethod
    def build(cls, config: EncoderConfig, trained: Mapping[str, np.ndarray] | None = None, seed: int = 0) -> "Pair":
        """Draws every parameter at random, or takes trained ones of a `MaskedLM`, and carries them to torch.

        Raises:
            MismatchError: parameters are not one to one, do not survive the round trip, or are not finite.
        """
        program = _program(config, trained is None)
        torch_model = TorchSide(config, pooler=trained is None).double().eval()
        shapes = {name: tuple(p.shape) for name, p in torch_model.state_dict().items()}
        table = match(rows(config), program.shapes, shapes)
        params = randomise(program.shapes, draws(config), seed) if trained is None else dict(trained)
        table.check_round_trip(params)
        _require_finite(params)
        pair = cls(config, program, torch_model, table, params, params)
        pair.load(torch_model)
        return pair

    def load(self, torch_model: TorchSide) -> None:
        """Gives a reference the parameters of this pair."""
        torch_params = {name: torch.from_numpy(array) for name, array in self.table.to_torch(self.params).items()}
        torch_model.load_state_dict(torch_params, strict=True)

    def with_torch(self, torch_model: TorchSide) -> "Pair":
        """The same with another reference, to see whether a mistake in it is found."""
        return dataclasses.replace(self, torch_model=torch_model)

    def with_bug(self, bug: ModelBug, side: str) -> "Pair":
        """The same with a mistake made in the reference ("torch") or in ours ("JAX")."""
        if side == "torch":
            return self.with_torch(planted(copy_of(self.torch_model), bug))
        assert bug.in_jax is not None, f"{bug.name} has no form in JAX"
        plot, patch = JaxPlot(self.config, dict(self.params)), Patch()
        bug.in_jax(plot, patch)
        program = JaxProgram(plot.config, self.jax.pooler, patch)
        return dataclasses.replace(self, jax=program, ours=plot.params)

    def compare(self, case: str) -> tuple[Comparison, ...]:
        """Runs one case, by name."""
        return compare_trace(self(make_case(case, sizes_of(self.config)))).comparisons

    def __call__(self, case: Case) -> Trace:
        """Runs both sides on one case."""
        programs.give_back()
        inputs = Inputs.of(case, self.config, pooler=self.jax.pooler)
        params = {name: jnp.asarray(array) for name, array in self.ours.items()}
        inadequate: tuple[str, ...] = ()
        overrides: dict[str, torch.Tensor] = {}
        if case.low_variance or case.poison is not None:
            rest_BTD = self._beside_words(params, inputs)
            word_VD = word_table.prepare(self.ours[WORD], rest_BTD, case, self.config.norm_eps)
            inadequate = word_table.inadequacies(word_VD, rest_BTD, case, self.config.norm_eps)
            params |= {WORD: jnp.asarray(word_VD)}
            overrides = {TORCH_WORD: tensor(word_VD).requires_grad_()}
        return _Tracing(self, inputs, params, overrides).trace(inadequate)

    def _beside_words(self, params: jax_graph.Params, inputs: Inputs) -> np.ndarray:
        """What the word embedding is added to, at every position."""
        values = {site.name: site.value for site in self.jax.values(params, JaxInputs.of(inputs))}
        parts = [values[name] for name in ("embedding.position", "embedding.token_type") if name in values]
        return sum(parts, np.zeros(values["embedding.word"].shape))


class _Tracing:
    """One case on both sides: forward, backward under each loss, and as training computes it."""

    def __init__(self, pair: Pair, inputs: Inputs, params: jax_graph.Params, overrides: dict[str, torch.Tensor]):
        self.pair, self.inputs, self.params, self.overrides = pair, inputs, params, overrides
        with pair.jax.patch.active():
            self.jax_inputs = JaxInputs.of(inputs)
        self.values = self._run_torch()
        self.theirs = {name: array(value) for name, value in self.values.items()}
        self.losses = [loss for loss in LOSSES if loss in self.values]
        self.cotangents: dict[str, dict[str, np.ndarray]] = {}

    def trace(self, inadequate: tuple[str, ...]) -> Trace:
        """All of it, each part computed when it is asked for."""
        return Trace(self._parts(), inadequate, lambda: self.replay)

    @functools.cached_property
    def graph(self) -> jax_graph.Graph:
        """Our program, cut at its values."""
        return self.pair.jax.graph(self.params, self.jax_inputs)

    @functools.cached_property
    def replay(self) -> Replay:
        """How our values depend on one another, and what a difference between two of them may be."""
        reads = dict(self.graph.reads) | backward.reads(self.graph, self.pair.table, self.losses)
        return Replay(reads, self._explain, axes_of, self.graph.aliases)

    def _explain(self, differences: Sequence[Difference]) -> list[tuple[Explanation, ...]]:
        sound = TorchSide(self.pair.config, pooler=self.pair.jax.pooler).double().eval()
        self.pair.load(sound)
        return explain(Evidence(sound, self.inputs, self.overrides, self.theirs, self.cotangents), differences)

    def _run_torch(self) -> dict[str, torch.Tensor]:
        try:
            taps = torch.func.functional_call(self.pair.torch_model, self.overrides, (self.inputs, run_torch))
        except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
            raise MismatchError(f"the reference cannot be run: {type(error).__name__}: {error}") from error
        return dict(zip(paths(taps), leaves(taps), strict=True))

    def _parts(self) -> Iterator[Part]:
        ours = self.pair.jax.values(self.params, self.jax_inputs)
        given = {
            site.name: jnp.asarray(self.theirs[site.name])
            for site in ours
            if site.name in self.theirs and feedable(site.value, self.theirs[site.name])
        }
        expected = tuple(Site(name, value) for name, value in self.theirs.items())
        yield Part(ours, expected, replay=lambda: _sites(self.graph.replay(self.params, self.jax_inputs, given)))
        own = {site.name: site.value for site in ours}
        params = dict(self.pair.torch_model.named_parameters()) | self.overrides
        gradients = self.graph.backward(self.params, self.jax_inputs, self.losses)
        for loss, (on_values, on_params) in zip(self.losses, gradients, strict=True):
            one = backward.Backward(loss, self.graph, self.pair.table)
            theirs = backward.of_torch(self.values, loss, params)
            self.cotangents[loss] = theirs[0]
            actual = one.ours(on_values, on_params)
            expected = one.theirs(*theirs)
            replay = functools.partial(one.replay, self.params, self.jax_inputs, given, theirs[0], own)
            yield Part(actual, expected, replay=replay, scales=one.scales(theirs[0]))
            del on_values, on_params, actual, expected, theirs, replay  # before the next loss's are made
        if self.inputs.as_in_training and not self.pair.jax.patch:
            yield self._as_trained()

    def _as_trained(self) -> Part:
        loss, grads = self.pair.jax.as_trained(self.params, self.inputs)
        pooler = {name: jnp.zeros(shape) for name, shape in self.pair.jax.shapes.items() if name not in grads}
        ours = self.pair.table.to_torch({name: np.asarray(grad) for name, grad in (grads | pooler).items()})
        model = self.pair.torch_model
        params = {name: param for name, param in model.named_parameters() if name.startswith("lm.")} | self.overrides
        total = torch.func.functional_call(model, self.overrides, (self.inputs, run_torch_as_trained))
        theirs = torch.autograd.grad(total, list(params.values()), allow_unused=True, materialize_grads=True)
        expected = {name: array(grad) for name, grad in zip(params, theirs, strict=True)}
        actual = {name: grad for name, grad in ours.items() if name.startswith("lm.")}
        name = backward.name_of
        return Part(
            (Site("trained", np.asarray(loss)), *(Site(name("trained", one), grad) for one, grad in actual.items())),
            (
                Site("trained", array(total)),
                *(
                    Site(name("trained", one), expected[one])
                    for one in dict.fromkeys((*actual, *expected))
                    if one in expected
                ),
            ),
            scales={name("trained", one): scale for one, scale in backward.scales_among(expected).items()},
        )


def _require_finite(params: Mapping[str, np.ndarray]) -> None:
    """Refuses parameters that no two programs could agree on.

    Raises:
        MismatchError: NaN or infinities; all parameters that hold some are named.
    """
    counts = {name: int((~np.isfinite(one)).sum()) for name, one in params.items()}
    broken = [f"  {name}: {count:,} of {params[name].size:,} entries" for name, count in counts.items() if count]
    if broken:
        raise MismatchError("\n".join(["the parameters themselves are not finite; nothing can be compared:", *broken]))


def _sites(values: Mapping[str, Any]) -> tuple[Site, ...]:
    return tuple(Site(name, np.asarray(value)) for name, value in values.items())
