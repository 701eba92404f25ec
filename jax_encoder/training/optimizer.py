"""AdamW with decoupled decay, global-norm clipping, and the learning rate of every step.

References: Kingma & Ba (2015), https://arxiv.org/abs/1412.6980; Loshchilov & Hutter (2019),
https://arxiv.org/abs/1711.05101; warm-up, stable, decay: Hu et al. (2024), section 4, https://arxiv.org/abs/2404.06395
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, PyTree

from jax_encoder.params import name_of
from jax_encoder.training.config import OptimizerOptions

# The last part of a parameter's name says what it is. A new kind of parameter must be put in one of the two.
_DECAYED = frozenset({"kernel", "word", "position", "token_type", "table", "decoder"})
_LEFT_ALONE = frozenset({"scale", "bias"})


def learning_rates(options: OptimizerOptions, steps: int) -> optax.Schedule:
    """The learning rate of step 0, 1, ... steps - 1.

    No step is wasted on a rate of 0: step i of a warm-up over w steps has (i + 1) / (w + 1) of the highest rate, step
    w has all of it, and the fall ends at 0 in the step that would come after the last.
    """
    peak, warmup = options.learning_rate, options.warmup_steps
    falling = steps - warmup
    if options.schedule == "cosine":
        fall = optax.cosine_decay_schedule(peak, falling, alpha=0.0)
    elif options.schedule == "linear":
        fall = optax.linear_schedule(peak, 0.0, falling)
    else:
        decay = options.decay_steps(steps)
        fall = optax.linear_schedule(peak, 0.0, decay, transition_begin=falling - decay)
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
    """Clips, then AdamW."""
    return optax.chain(clip(options), adamw(options, learning_rates(options, steps)))


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
