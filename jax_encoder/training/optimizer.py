"""The optimizer of a run: which one, global-norm clipping, and the learning rate of every step.

References: Kingma & Ba (2015), https://arxiv.org/abs/1412.6980; Loshchilov & Hutter (2019),
https://arxiv.org/abs/1711.05101; warm-up, stable, decay: Hu et al. (2024), section 4, https://arxiv.org/abs/2404.06395,
its root: Hägele et al. (2024), section 3, https://arxiv.org/abs/2405.18392; inverse root: Vaswani et al. (2017),
section 5.3, https://arxiv.org/abs/1706.03762
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Int, PyTree

from jax_encoder.params import name_of
from jax_encoder.training import layered
from jax_encoder.training.optimizer_config import Optimizer, OptimizerOptions, Schedule

# The last part of a parameter's name says what it is. A new kind of parameter must be put in one of the two.
_DECAYED = frozenset({"kernel", "word", "position", "token_type", "table", "decoder"})
_LEFT_ALONE = frozenset({"scale", "bias"})


def _wsd(options: OptimizerOptions, steps: int) -> optax.Schedule:
    falling = options.decay_steps(steps)
    begins = steps - options.warmup_steps - falling
    return optax.linear_schedule(options.learning_rate, 0.0, falling, transition_begin=begins)


def _wsd_sqrt(options: OptimizerOptions, steps: int) -> optax.Schedule:
    falling = options.decay_steps(steps)
    begins = steps - options.warmup_steps - falling
    return lambda step: options.learning_rate * (1 - jnp.sqrt(jnp.clip((step - begins) / falling, 0, 1)))


def _inverse_root(options: OptimizerOptions, steps: int) -> optax.Schedule:
    warmup = options.warmup_steps
    return lambda step: options.learning_rate * jnp.sqrt((warmup + 1) / (step + warmup + 1))


# How the learning rate falls from the first step after the warm-up on, which is their step 0.
_FALLS: dict[Schedule, Callable[[OptimizerOptions, int], optax.Schedule]] = {
    "cosine": lambda o, steps: optax.cosine_decay_schedule(o.learning_rate, steps - o.warmup_steps, alpha=0.0),
    "linear": lambda o, steps: optax.linear_schedule(o.learning_rate, 0.0, steps - o.warmup_steps),
    "wsd": _wsd,
    "wsd_sqrt": _wsd_sqrt,
    "inverse_root": _inverse_root,
}


def learning_rates(options: OptimizerOptions, steps: int) -> optax.Schedule:
    """The learning rate of step 0, 1, ... steps - 1.

    No step is wasted on a rate of 0: step i of a warm-up over w steps has (i + 1) / (w + 1) of the highest rate, step
    w has all of it, and the fall ends at 0 in the step that would come after the last, but for `inverse_root`.
    """
    peak, warmup = options.learning_rate, options.warmup_steps
    fall = _FALLS[options.schedule](options, steps)
    if warmup:
        fall = optax.join_schedules([optax.linear_schedule(peak / (warmup + 1), peak, warmup), fall], [warmup])
    # Whole numbers that Optax divides become float32 whatever the run computes in, float64 too. It mixes them with real
    # ones, here and in its bias correction below, which strict promotion refuses.
    return jax.numpy_dtype_promotion("standard")(lambda step: fall(jnp.asarray(step, float)))


def decayed(params: PyTree) -> PyTree[bool]:
    """True for what weight decay pulls towards 0: kernels and embedding tables, not norms and biases.

    Raises:
        ValueError: a parameter whose name does not say which it is.
    """

    def by_name(path: tuple, _: object) -> bool:
        name = path[-1].key
        if name not in _DECAYED | _LEFT_ALONE:
            raise ValueError(
                f"whether to decay {name_of(path)} is not known: its name "
                f"must end in one of {sorted(_DECAYED | _LEFT_ALONE)}"
            )
        return name in _DECAYED

    return jax.tree_util.tree_map_with_path(by_name, params)


def make_optimizer(options: OptimizerOptions, steps: int) -> optax.GradientTransformation:
    """Clips, then the optimizer that was chosen; then, if that was asked for, averages the parameters."""
    parts = [clip(options), unclipped(options, learning_rates(options, steps))]
    return optax.chain(*parts, *([] if options.average is None else [averaging(options.average)]))


def unclipped(options: OptimizerOptions, rates: optax.Schedule) -> optax.GradientTransformation:
    """The optimizer that was chosen, by itself, with the learning rates of a schedule."""
    return _OPTIMIZERS[options.optimizer](options, rates)


class AverageState(NamedTuple):
    """How often the parameters have been averaged, and their moving average."""

    times: Int[Array, ""]
    average: PyTree


def averaging(decay: float) -> optax.GradientTransformation:
    """Keeps a moving average of the parameters, as `torch.optim.swa_utils` does: it starts as those of the first step.

    The updates stay as they are; it must come last.
    """

    def init(params: PyTree) -> AverageState:
        return AverageState(jnp.zeros((), jnp.int32), jax.tree.map(jnp.array, params))

    def update(updates: PyTree, state: AverageState, params: PyTree) -> tuple[PyTree, AverageState]:
        old = jnp.where(state.times == 0, 0.0, decay)
        moved = optax.apply_updates(params, updates)
        average = jax.tree.map(
            lambda mean, new: old.astype(new.dtype) * mean + (1 - old).astype(new.dtype) * new, state.average, moved
        )
        return updates, AverageState(state.times + 1, average)

    return optax.GradientTransformation(init, update)


def average_of(state: optax.OptState) -> PyTree | None:
    """The moving average that a state keeps, or None."""
    return optax.tree.get(state, "average", None)


def clip(options: OptimizerOptions) -> optax.GradientTransformation:
    """Scales all gradients by one factor if their global norm is above `clip_norm`; None: leaves them alone.

    As `optax.clip_by_global_norm` does, which divides every gradient by the norm: XLA then writes them all to memory
    once more, where a product is a part of what reads it.
    """
    most = options.clip_norm
    if most is None:
        return optax.identity()

    def scaled(grads: PyTree, state: optax.EmptyState, _: object = None) -> tuple[PyTree, optax.EmptyState]:
        norm = optax.tree.norm(grads)
        factor = jnp.where(norm < most, jnp.ones_like(norm), most / norm)
        return jax.tree.map(lambda gradient: gradient * factor.astype(gradient.dtype), grads), state

    return optax.GradientTransformation(lambda _: optax.EmptyState(), scaled)


def adamw(options: OptimizerOptions, rates: optax.Schedule) -> optax.GradientTransformation:
    """AdamW with the learning rates of a schedule; every default is written out.

    The update of torch.optim.AdamW with the same numbers: epsilon outside the root, both means corrected for their
    start at 0, decay times the learning rate of the step.
    """
    return optax.adamw(
        rates,
        b1=options.b1,
        b2=options.b2,
        eps=options.eps,
        eps_root=0.0,
        mu_dtype=None,
        weight_decay=options.weight_decay,
        mask=decayed,
        nesterov=False,
    )


_OPTIMIZERS: dict[Optimizer, Callable[[OptimizerOptions, optax.Schedule], optax.GradientTransformation]] = {
    "adamw": adamw,
    "stable_adamw": lambda options, rates: layered.stable_adamw(options, rates, decayed),
    "lamb": lambda options, rates: layered.lamb(options, rates, decayed),
    "muon": lambda options, rates: layered.muon(options, rates, decayed),
}


def apply_gradients(
    optimizer: optax.GradientTransformation,
    grads: PyTree,
    state: optax.OptState,
    params: PyTree,
    moves: Bool[Array, ""] | None = None,
) -> tuple[PyTree, optax.OptState]:
    """One update: the new parameters and optimizer state.

    Where `moves` is False both stay as they are, whatever the gradients, but for the learning rate, which goes on. None
    always moves.
    """
    with jax.numpy_dtype_promotion("standard"):
        updates, after = optimizer.update(grads, state, params)
    moved = optax.apply_updates(params, updates), after
    return moved if moves is None else _where(moves, moved, (params, state))


def _where(moves: Bool[Array, ""], new: PyTree, old: PyTree) -> PyTree:
    def is_schedule(node: object) -> bool:
        return isinstance(node, optax.ScaleByScheduleState)

    def choose(after: Any, before: Any) -> Any:
        return after if is_schedule(after) else jnp.where(moves, after, before)

    return jax.tree.map(choose, new, old, is_leaf=is_schedule)
