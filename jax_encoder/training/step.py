"""One update, as a pure function of pytrees: jitted, donated, with no state hidden in modules.

Axes: B batch, A micro-batches, b rows of one micro-batch.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.stages import Wrapped
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key

from jax_encoder import placement
from jax_encoder.config import EncoderConfig
from jax_encoder.data.masking import Batch
from jax_encoder.model import MaskedLM
from jax_encoder.params import Params, params_of
from jax_encoder.remat import rematerialised
from jax_encoder.training import optimizer as optimizers
from jax_encoder.training.config import PretrainConfig
from jax_encoder.training.initial import drawn
from jax_encoder.training.objective import PLAIN, LossSums, Penalties, loss_sums
from jax_encoder.training.sharding import Layout


class TrainState(NamedTuple):
    """All that changes from step to step, and all that a checkpoint holds."""

    params: Params
    opt_state: optax.OptState
    step: Int[Array, ""]


class StepMetrics(NamedTuple):
    """What one step was; the loss and accuracy are of the parameters before its update.

    A step whose loss or gradient is not finite is `skipped` (1) and moves nothing; nor does one with nothing to
    predict, whose loss and accuracy are 0.
    """

    loss: Float[Array, ""]
    accuracy: Float[Array, ""]
    grad_norm: Float[Array, ""]
    learning_rate: Float[Array, ""]
    tokens: Int[Array, ""]
    skipped: Int[Array, ""]


class Program(NamedTuple):
    """The jitted functions of a run, not yet compiled. `step` donates the state it is given.

    `layout` says where everything lies if many devices compute; None is for one. `step` takes a batch as `placed` puts
    it there, `evaluate` one as `placed_whole` does; on one device any will do.
    """

    init: Wrapped  # () -> TrainState
    step: Wrapped  # TrainState, Batch -> TrainState, StepMetrics
    evaluate: Wrapped  # Params, Batch -> LossSums
    layout: Layout | None = None
    accumulate: int = 1

    def placed(self, batch: Batch) -> Batch:
        """A batch of numpy on the devices, for a step; every process has the same and puts its own rows there."""
        if self.layout is None:
            return jax.device_put(batch)
        # Split here: on the devices, rows would have to move from one to another for it.
        return self.layout.place(split_batch(batch, self.accumulate), split=True)

    def placed_whole(self, batch: Batch) -> Batch:
        """A batch of numpy on the devices, for an evaluation."""
        return batch if self.layout is None else self.layout.place(batch, split=False)


def build(
    config: PretrainConfig, encoder: EncoderConfig, *, dtype: DTypeLike | None = None, layout: Layout | None = None
) -> Program:
    """Makes the functions of a run; two builds from equal configs are the same functions.

    Args:
        config: of the run.
        encoder: what it trains.
        dtype: of everything, to repeat a run in another precision; None is float32, and the config's for the network.
        layout: of the devices, if there is more than one.

    Raises:
        ValueError: the encoder has a parameter that the optimizer does not know.
    """
    init_key = jax.random.key(config.seed)
    wide, network = (jnp.float32, config.model.dtype) if dtype is None else (dtype, dtype)
    optimizer = optimizers.make_optimizer(config.optimizer, config.steps)
    attention, penalties = config.model.attention, penalties_of(config)
    schedule = optimizers.learning_rates(config.optimizer, config.steps)

    def make_model() -> MaskedLM:
        rngs = nnx.Rngs(params=init_key)
        return MaskedLM(encoder, rngs=rngs, dtype=jnp.dtype(network), param_dtype=wide)

    model = nnx.graphdef(nnx.eval_shape(make_model))

    def init() -> TrainState:
        # A key of its own, which no module has used.
        params = drawn(params_of(make_model()), config.model.init, encoder, jax.random.fold_in(init_key, 0))
        return TrainState(params, optimizer.init(params), jnp.zeros((), jnp.int32))

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, StepMetrics]:
        key = step_key(config.seed, state.step)
        micro_batches = split_batch(batch, config.accumulate) if layout is None else batch
        with placement.used(layout), rematerialised(config.model.remat):
            sums, grads = accumulated_gradients(model, state.params, micro_batches, key, attention, penalties)
        norm = optax.tree.norm(grads)
        finite = jnp.isfinite(sums.loss) & jnp.isfinite(norm)
        moves = finite & (sums.targets > 0)
        params, opt_state = optimizers.apply_gradients(optimizer, grads, state.opt_state, state.params, moves)
        rate, tokens = jnp.asarray(schedule(state.step), wide), (batch.segments > 0).sum(dtype=jnp.int32)
        metrics = StepMetrics(*_means(sums), norm, rate, tokens, jnp.logical_not(finite).astype(jnp.int32))
        return TrainState(params, opt_state, state.step + 1), metrics

    def evaluate(params: Params, batch: Batch) -> LossSums:
        with placement.used(layout):
            return loss_sums(model, placement.whole_outside_layers(params), batch, None, attention)[1]

    at_precision = jax.default_matmul_precision(config.model.matmul_precision)
    return _jitted(init, at_precision(step), at_precision(evaluate), config.accumulate, layout)


def _jitted(init: Callable, step: Callable, evaluate: Callable, accumulate: int, layout: Layout | None) -> Program:
    """The program of three functions; what they put out lies as the layout has it."""
    places: Any = (None, None, None)
    if layout is not None:
        state = layout.of_state(jax.eval_shape(init))
        places = state, (state, layout.everywhere), layout.everywhere
    return Program(
        jax.jit(init, out_shardings=places[0]),
        jax.jit(step, donate_argnums=0, out_shardings=places[1]),
        jax.jit(evaluate, out_shardings=places[2]),
        layout,
        accumulate,
    )


def _means(sums: LossSums) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Loss and accuracy; 0 without a target."""
    targets = jnp.maximum(sums.targets, 1)
    return sums.loss / targets, sums.correct / targets


def penalties_of(config: PretrainConfig) -> Penalties:
    """What a run's loss holds beside the cross-entropy."""
    return Penalties(config.label_smoothing, config.z_loss)


def step_key(seed: int, step: int | Int[Array, ""]) -> Key[Array, ""]:
    """The key of a step's dropout, which depends on these two alone."""
    # Named, so that a setting of JAX changes no mask.
    return jax.random.fold_in(jax.random.key(seed, impl="threefry2x32"), step)


def micro_batch_key(key: Key[Array, ""], index: int | Int[Array, ""]) -> Key[Array, ""]:
    """The key of the dropout of one micro-batch, counted from 0, for its step's key."""
    return jax.random.fold_in(key, index)


def split_batch(batch: Batch, parts: int) -> Batch:
    """Rows in `parts` equal parts: every field from [B ...] to [A b ...]."""
    return jax.tree.map(lambda field: field.reshape(parts, -1, *field.shape[1:]), batch)


def accumulated_gradients(
    model: nnx.GraphDef,
    params: Params,
    micro_batches: Batch,
    dropout_key: Key[Array, ""],
    attention: str = "auto",
    penalties: Penalties = PLAIN,
) -> tuple[LossSums, Params]:
    """The sums of the loss, and the gradient of its mean over all targets of all micro-batches [A b ...].

    Each micro-batch's sum is divided by the number of all targets, for they have unequally many; before its gradient is
    taken, which saves a pass over all gradients.
    """
    targets = jnp.maximum(micro_batches.weights.sum(), 1)

    def loss(params: Params, batch: Batch, key: Key[Array, ""]) -> tuple[Float[Array, ""], LossSums]:
        whole = placement.whole_outside_layers(params)
        loss, sums = loss_sums(model, whole, batch, key, attention, penalties)
        return loss / targets.astype(loss.dtype), sums

    def add(total: tuple[LossSums, Params], scanned: tuple[Batch, Array]) -> tuple[tuple[LossSums, Params], None]:
        batch, index = scanned
        (_, sums), grads = jax.value_and_grad(loss, has_aux=True)(params, batch, micro_batch_key(dropout_key, index))
        return jax.tree.map(jnp.add, total, (sums, placement.stored(grads))), None

    first = jax.tree.map(lambda field: field[0], micro_batches)
    _, sums_shape = jax.eval_shape(loss, params, first, dropout_key)
    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), (sums_shape, params))
    indices_A = jnp.arange(micro_batches.tokens.shape[0], dtype=jnp.int32)
    (sums, grads), _ = jax.lax.scan(add, nothing, (micro_batches, indices_A))
    return sums, grads
