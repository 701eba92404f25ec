"""Optax, as training uses it, against torch.optim."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax

import torch_ref
from jax_encoder.config import EncoderConfig
from jax_encoder.model import MASKED_LM, shapes_of
from jax_encoder.params import name_of, named, nested
from jax_encoder.training import layered
from jax_encoder.training import optimizer as optimizers
from jax_encoder.training.optimizer_config import Optimizer as Kind
from jax_encoder.training.optimizer_config import OptimizerOptions
from parity.cases.randomise import randomise
from parity.encoder.subject import EncoderSubject
from parity.encoder.table import match
from parity.encoder.weights import draws, rows
from parity.graph.programs import quickly
from parity.judge.check import Progress, attempt, choose
from parity.judge.compare import SEMANTIC
from parity.judge.crash import running
from parity.judge.outcome import Outcome, judged
from parity.judge.verdict import Report, Run
from parity.optimizer.bugs import OPTIMIZER_BUGS
from parity.optimizer.settings import CASES, VARIANTS, Settings
from parity.optimizer.stages import (
    START,
    Arrays,
    Candidate,
    Side,
    State,
    Step,
    Suspects,
    compare,
    draw,
)
from parity.optimizer.torch_side import Layout, Recipe, TorchSide


def _arrays(tree: Any) -> dict[str, np.ndarray]:
    """Named arrays of numpy."""
    return {name: np.asarray(leaf) for name, leaf in named(tree).items()}


class JaxSide:
    """A `parity.optimizer.stages.Side`: what training runs for AdamW, and optax's like for Adam and SGD."""

    def __init__(self, settings: Settings):
        self._settings = settings
        kinds: tuple[Any, ...] = get_args(Kind)
        self._ours = settings.optimizer in kinds
        self._options = OptimizerOptions(
            optimizer=kinds[kinds.index(settings.optimizer)] if self._ours else "adamw",
            learning_rate=settings.learning_rate,
            warmup_steps=settings.warmup_steps,
            schedule=settings.schedule,
            decay_fraction=settings.decay_fraction,
            weight_decay=settings.weight_decay,
            b1=settings.b1,
            b2=settings.b2,
            eps=settings.eps,
            clip_norm=settings.clip_norm,
            momentum=settings.momentum,
            average=settings.average,
        )
        self._rates = optimizers.learning_rates(self._options, settings.steps)
        self._schedule = np.asarray(quickly(jax.vmap(self._rates))(jnp.arange(settings.steps, dtype=jnp.int32)))
        self._clip, self._advance, self._step = (
            quickly(method) for method in (self._clipped, self._advanced, self._stepped)
        )
        self._apply, self._average = quickly(optax.apply_updates), quickly(self._averaged)

    def schedule(self) -> np.ndarray:
        return self._schedule

    def step(self, state: State, gradient: Arrays, step: int) -> Step:
        return self._values(self._step(_tree(state), nested(gradient), jnp.asarray(step, jnp.int32)))

    def clip(self, gradient: Arrays) -> tuple[np.ndarray, Arrays]:
        norm, clipped = self._clip(nested(gradient))
        return np.asarray(norm), _arrays(clipped)

    def advance(self, state: State, clipped: Arrays, learning_rate: float) -> Step:
        return self._values(self._advance(_tree(state), nested(clipped), jnp.asarray(learning_rate)))

    def apply(self, params: Arrays, update: Arrays) -> Arrays:
        return _arrays(self._apply(nested(params), nested(update)))

    def averaged(self, state: State, params: Arrays) -> Arrays:
        return _arrays(self._average(_tree(state), nested(params))) if state.average else {}

    def _values(self, tree: Any) -> Step:
        """Arrays of numpy, with the names of parameters."""
        values: Any = (None if v is None else _arrays(v) if isinstance(v, dict) else np.asarray(v) for v in tree)
        return Step(*values)

    def _clipped(self, gradient: Any) -> tuple[Any, Any]:
        clipped, _ = optimizers.clip(self._options).update(gradient, optax.EmptyState())
        return optax.tree.norm(gradient), clipped

    def _advanced(self, state: State, clipped: Any, learning_rate: Any) -> Step:
        moved = self._moved(self._without_clipping(lambda _: learning_rate), state, clipped)
        return moved._replace(learning_rate=learning_rate, clipped_gradient=clipped)

    def _stepped(self, state: State, gradient: Any, step: Any) -> Step:
        norm, clipped = self._clipped(gradient)
        moved = self._moved(self._whole(), state, gradient)
        return moved._replace(learning_rate=self._rates(step), global_norm=norm, clipped_gradient=clipped)

    def _averaged(self, state: State, params: Any) -> Any:
        transformation = optimizers.averaging(self._options.average or 0.0)
        before = optimizers.AverageState(jnp.asarray(state.done), state.average)
        update = jax.tree.map(jnp.subtract, params, state.params)
        return transformation.update(update, before, state.params)[1].average

    def _whole(self) -> optax.GradientTransformation:
        if self._ours:
            return optimizers.make_optimizer(self._options, self._settings.steps)
        return optax.chain(optimizers.clip(self._options), self._without_clipping(self._rates))

    def _without_clipping(self, rates: optax.Schedule) -> optax.GradientTransformation:
        given = self._settings
        if self._ours:
            return optimizers.unclipped(self._options, rates)
        decay = optax.add_decayed_weights(given.weight_decay, mask=optimizers.decayed)
        if given.optimizer == "adam":
            return optax.chain(decay, optax.adam(rates, b1=given.b1, b2=given.b2, eps=given.eps, eps_root=0.0))
        return optax.chain(decay, optax.sgd(rates, momentum=given.momentum, nesterov=given.nesterov))

    def _moved(self, optimizer: optax.GradientTransformation, state: State, gradient: Any) -> Step:
        """One update from a state, without the values before it."""
        with jax.numpy_dtype_promotion("standard"):
            fresh = optimizer.init(state.params)
            before = optax.tree.set(fresh, count=state.done, **_kept(fresh, state))
            update, _ = optimizer.update(gradient, before, state.params)
        params, after = optimizers.apply_gradients(optimizer, gradient, before, state.params)
        # AdamW counts twice, for its moments and for the learning rate; SGD for the latter alone.
        counts = None if self._settings.optimizer == "sgd" else optax.tree.get_all_with_path(after, "count")[0][1]
        found = {name: optax.tree.get(after, name, None) for name in ("trace", "mu", "nu", "average")}
        flat = {name: {} if tree is None else named(tree) for name, tree in found.items()}
        nothing: Any = jnp.nan
        first = nested({**flat["trace"], **flat["mu"]})
        return Step(counts, nothing, nothing, {}, first, nested(flat["nu"]), update, params, nested(flat["average"]))


def _kept(fresh: optax.OptState, state: State) -> dict[str, Any]:
    """What is to be set in a fresh state of an optimizer; each kind has its own."""
    first, second, average = (named(tree) for tree in (state.first, state.second, state.average))
    values = {"trace": first, "mu": first, "nu": second, "average": average}
    found = {name: optax.tree.get(fresh, name, None) for name in values}
    return {
        name: jax.tree_util.tree_map_with_path(lambda path, _, flat=values[name]: flat[name_of(path)], tree)
        for name, tree in found.items()
        if tree is not None
    } | ({} if found["average"] is None else {"times": state.done})


def _tree(state: State) -> State:
    """The state as our side nests it."""
    done: Any = jnp.asarray(state.done, jnp.int32)
    return State(done, *(nested(arrays) for arrays in state[1:]))


def check_optimizers(
    *,
    variants: Sequence[str] | None = None,
    cases: Sequence[str] | None = None,
    progress: Progress = lambda variant, case: None,
) -> Report:
    """Compares both sides, in float64, on every chosen variant and magnitude of gradients.

    Raises:
        UsageError: a name is unknown.
    """
    variants, cases = choose("variant", variants, VARIANTS), choose("case", cases, CASES)
    runs = []
    with EncoderSubject().session():
        for variant in variants:
            for case in cases:
                progress(variant, case)
                runs.append(attempt(variant, case, functools.partial(_run, variant, case)))
        environment = {**EncoderSubject().environment(), "optax": optax.__version__}
    return Report("optax against torch.optim", SEMANTIC, environment, tuple(runs))


def _run(variant: str, case: str) -> Run:
    return bench_of(variant).run(variant, case)


class Bench:
    """Both sides of one variant, and all mistakes that can be made in it."""

    def __init__(self, settings: Settings):
        config = EncoderConfig.tiny()
        shapes = shapes_of(config, MASKED_LM)
        reference = torch_ref.MaskedLM(config)
        table = match(rows(config), shapes, {name: tuple(p.shape) for name, p in reference.named_parameters()})
        self.settings, self.recipe = settings, Recipe(settings=settings)
        self.params = randomise(shapes, draws(config), seed=0)
        self.layout = Layout(table, reference)
        with running("JAX"):
            self.jax_side = JaxSide(settings)

    def run(self, variant: str, case: str, *, ours: Side | None = None, theirs: Recipe | None = None) -> Run:
        """Compares on one case; another side in place of ours, or another recipe for the reference, may be wrong."""
        planted = {
            bug.name: Candidate(bug.mistake, self.side(bug.plant(self.recipe)))
            for bug in OPTIMIZER_BUGS
            if self.settings.optimizer in bug.optimizers
        }
        sides = (self.jax_side if ours is None else ours, self.side(theirs or self.recipe))
        return compare(variant, case, sides, self.start(case), Suspects(self.side(self.recipe), planted))

    def side(self, recipe: Recipe) -> TorchSide:
        """The reference by a recipe."""
        return TorchSide(recipe, self.layout)

    def start(self, case: str) -> State:
        """A random state. SGD moves as far as its gradients are large: its parameters must not drown that."""
        scale = CASES[case]
        shrink = scale if self.settings.optimizer == "sgd" else 1.0
        params = {name: shrink * array for name, array in self.params.items()}
        squares = draw(params, scale, seed=2000)
        # StableAdamW's step is shorter only where gradients are larger than their mean square expects.
        expected = 1e-6 if self.settings.optimizer == "stable_adamw" else 1.0
        second = {
            name: expected * (0.5 * scale**2 + array**2)
            for name, array in squares.items()
            if self._has_second_moment(name)
        }
        average = {} if self.settings.average is None else draw(params, 1.0, seed=3000)
        return State(START, params, draw(params, scale, seed=1000), second, average)

    def _has_second_moment(self, name: str) -> bool:
        kind = self.settings.optimizer
        return kind != "sgd" and not (kind == "muon" and layered.is_matrix(name))


@functools.cache
def bench_of(variant: str) -> Bench:
    """The bench of a variant, whose programs are compiled once."""
    return Bench(VARIANTS[variant])


def outcomes(names: frozenset[str] | None = None) -> Iterator[Outcome]:
    """Makes every mistake in the reference on purpose, and asks the check about it; None takes all."""
    for bug in OPTIMIZER_BUGS:
        if names is None or bug.name in names:
            bench = bench_of(bug.variant)
            run = bench.run(bug.variant, bug.case, theirs=bug.plant(bench.recipe))
            yield judged(bug, "torch", "optimizer", run)
