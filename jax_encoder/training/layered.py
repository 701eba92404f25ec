"""Optimizers that ask how large a layer's parameter is as a whole.

Layers lie stacked in one array, and each is a parameter of its own here: a norm over the stack would tie them together.

References: StableAdamW: Wortsman et al. (2023), algorithm 2, https://arxiv.org/abs/2304.13013; LAMB: You et al. (2020),
algorithm 2, https://arxiv.org/abs/1904.00962; Muon: Jordan et al. (2024), https://kellerjordan.github.io/posts/muon,
with the scale of Liu et al. (2025), section 2.2, https://arxiv.org/abs/2502.16982
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree

from jax_encoder.params import name_of
from jax_encoder.training.optimizer_config import OptimizerOptions

Mask = Callable[[PyTree], PyTree]

# Muon's own numbers, which its authors never change.
_EPS, _STEPS, _COEFFICIENTS, _RMS = 1e-7, 5, (3.4445, -4.7750, 2.0315), 0.2
_MATRIX, _REST = "matrix", "rest"


def adam(options: OptimizerOptions) -> optax.GradientTransformation:
    """Adam's direction: both moments corrected for their start at 0, epsilon outside the root."""
    return optax.scale_by_adam(b1=options.b1, b2=options.b2, eps=options.eps, eps_root=0.0, mu_dtype=None)


def stable_adamw(options: OptimizerOptions, rates: optax.Schedule, decayed: Mask) -> optax.GradientTransformation:
    """AdamW whose step, decay included, is made shorter where gradients are larger than their mean square expects."""
    direction = adam(options)

    def update(grads: PyTree, state: Any, params: PyTree) -> tuple[PyTree, Any]:
        towards, after = direction.update(grads, state, params)
        expected = optax.tree.bias_correction(after.nu, options.b2, after.count)

        def shortened(path: Any, step: Array, grad: Array, square: Array, pulled: tuple[bool, Array]) -> Array:
            decays, param = pulled
            surprise = jnp.square(grad) / jnp.maximum(square, options.eps**2)
            rms = jnp.sqrt(jnp.mean(surprise, axis=_axes(path, grad), keepdims=True))
            return (step + options.weight_decay * param if decays else step) / jnp.maximum(rms, 1)

        pulls = jax.tree.map(lambda decays, param: (decays, param), decayed(params), params)
        return jax.tree_util.tree_map_with_path(shortened, towards, grads, expected, pulls), after

    return optax.chain(optax.GradientTransformation(direction.init, update), optax.scale_by_learning_rate(rates))


def lamb(options: OptimizerOptions, rates: optax.Schedule, decayed: Mask) -> optax.GradientTransformation:
    """AdamW's direction, decay included, made as long as each layer's parameter is, times the learning rate."""

    def update(updates: PyTree, state: Any, params: PyTree) -> tuple[PyTree, Any]:
        return jax.tree_util.tree_map_with_path(_as_long, updates, params), state

    return optax.chain(
        adam(options),
        optax.add_decayed_weights(options.weight_decay, mask=decayed),
        optax.GradientTransformation(lambda _: optax.EmptyState(), update),
        optax.scale_by_learning_rate(rates),
    )


def muon(options: OptimizerOptions, rates: optax.Schedule, decayed: Mask) -> optax.GradientTransformation:
    """Kernels move by the nearest orthogonal matrix to their momentum, all else by AdamW.

    Momentum as in torch.optim.Muon: not corrected for its start at 0, which Optax's `scale_by_muon` does. That gives
    the iteration here, without a momentum of its own.
    """
    kinds = {_MATRIX: _orthogonal(options.momentum), _REST: adam(options)}
    return optax.chain(
        optax.partition(kinds, lambda params: jax.tree_util.tree_map_with_path(_kind, params)),
        optax.add_decayed_weights(options.weight_decay, mask=decayed),
        optax.scale_by_learning_rate(rates),
    )


def is_matrix(name: str) -> bool:
    """Whether Muon makes the steps of a parameter orthogonal."""
    return name.endswith(".kernel")


def _kind(path: Any, _: Array) -> str:
    return _MATRIX if is_matrix(name_of(path)) else _REST


def _orthogonal(momentum: float) -> optax.GradientTransformation:
    iteration = optax.contrib.scale_by_muon(
        ns_coeffs=_COEFFICIENTS,
        ns_steps=_STEPS,
        beta=0.0,
        eps=_EPS,
        nesterov=False,
        weight_dimension_numbers=lambda grads: jax.tree_util.tree_map_with_path(_sides, grads),
    )

    def update(grads: PyTree, state: optax.TraceState, params: PyTree) -> tuple[PyTree, optax.TraceState]:
        trace = jax.tree.map(lambda old, grad: momentum * old + (1 - momentum) * grad, state.trace, grads)
        ahead = jax.tree.map(lambda mean, grad: momentum * mean + (1 - momentum) * grad, trace, grads)
        # A state that is made here is nothing to keep: without a momentum it does not matter.
        made, _ = iteration.update(ahead, iteration.init(ahead), params)
        return jax.tree_util.tree_map_with_path(_as_large_as_adams, made), optax.TraceState(trace)

    return optax.GradientTransformation(lambda params: optax.TraceState(optax.tree.zeros_like(params)), update)


def _as_large_as_adams(path: Any, step: Array) -> Array:
    sides = _sides(path, step)
    wide, narrow = (math.prod(step.shape[axis] for axis in side) for side in sides)
    return _RMS * math.sqrt(max(wide, narrow)) * step


def _sides(path: Any, kernel: Array) -> optax.contrib.MuonDimensionNumbers:
    """Which axes of a kernel are its input, and which its output: heads and their channels are one side together."""
    axes = _axes(path, kernel)
    inputs = len(axes) - 1 if name_of(path).endswith(".out.kernel") else 1
    return optax.contrib.MuonDimensionNumbers(axes[:inputs], axes[inputs:])


def _as_long(path: Any, step: Array, param: Array) -> Array:
    def norm(array: Array) -> Array:
        return jnp.sqrt(jnp.square(array).sum(axis=_axes(path, array), keepdims=True))

    long, wide = norm(param), norm(step)
    return jnp.where((long > 0) & (wide > 0), long / jnp.where(wide > 0, wide, 1), 1) * step


def _axes(path: Any, leaf: Array) -> tuple[int, ...]:
    """The axes of one layer's parameter: all, but for the layers themselves."""
    return tuple(range("layers" in name_of(path).split("."), leaf.ndim))
