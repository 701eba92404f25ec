"""A BERT of Flax's stock parts, as one would write it first.

nnx.MultiHeadAttention, the head on all positions, a mask of padding, nnx.jit and nnx.Optimizer.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from benchmarks.train.stepping import Stepper, serve_steps
from benchmarks.train.tasks import BETAS, CLIP, DECAY, EPS, LEARNING_RATE, Given
from benchmarks.train.torch_side import labelled
from benchmarks.workers import Record
from jax_encoder.config import EncoderConfig


class Layer(nnx.Module):
    """Attention and MLP, each added and normalised."""

    def __init__(self, config: EncoderConfig, rngs: nnx.Rngs):
        D, rate = config.embed_dim, config.residual_dropout
        init = nnx.initializers.normal(config.init_std)
        self.attention = nnx.MultiHeadAttention(
            config.num_heads, D, dropout_rate=config.attention_dropout, kernel_init=init, decode=False, rngs=rngs
        )
        self.norms = nnx.List([nnx.LayerNorm(D, epsilon=config.norm_eps, rngs=rngs) for _ in range(2)])
        self.up = nnx.Linear(D, config.mlp_dim, kernel_init=init, rngs=rngs)
        self.down = nnx.Linear(config.mlp_dim, D, kernel_init=init, rngs=rngs)
        self.dropout = nnx.Dropout(rate, rngs=rngs)

    def __call__(self, x_BTD: jax.Array, mask_B1TS: jax.Array) -> jax.Array:
        x_BTD = self.norms[0](x_BTD + self.dropout(self.attention(x_BTD, mask=mask_B1TS, deterministic=False)))
        return self.norms[1](x_BTD + self.dropout(self.down(nnx.gelu(self.up(x_BTD), approximate=False))))


class MaskedLM(nnx.Module):
    """Embeddings, layers, and a tied head on every position."""

    def __init__(self, config: EncoderConfig, rngs: nnx.Rngs):
        D, init = config.embed_dim, nnx.initializers.normal(config.init_std)
        self.word = nnx.Embed(config.vocab_size, D, embedding_init=init, rngs=rngs)
        self.position = nnx.Embed(config.max_len, D, embedding_init=init, rngs=rngs)
        self.token_type = nnx.Embed(config.num_token_types, D, embedding_init=init, rngs=rngs)
        self.norm = nnx.LayerNorm(D, epsilon=config.norm_eps, rngs=rngs)
        self.dropout = nnx.Dropout(config.embedding_dropout, rngs=rngs)
        self.layers = nnx.List([Layer(config, rngs) for _ in range(config.num_layers)])
        self.transform = nnx.Linear(D, D, kernel_init=init, rngs=rngs)
        self.head_norm = nnx.LayerNorm(D, epsilon=config.norm_eps, rngs=rngs)
        self.bias = nnx.Param(jnp.zeros(config.vocab_size))

    def __call__(self, tokens_BT: jax.Array, attended_BT: jax.Array) -> jax.Array:
        positions_T = jnp.arange(tokens_BT.shape[1])
        x_BTD = self.word(tokens_BT) + self.position(positions_T) + self.token_type(jnp.zeros_like(tokens_BT))
        x_BTD = self.dropout(self.norm(x_BTD))
        mask_B1TS = nnx.make_attention_mask(attended_BT, attended_BT)
        for layer in self.layers:
            x_BTD = layer(x_BTD, mask_B1TS)
        x_BTD = self.head_norm(nnx.gelu(self.transform(x_BTD), approximate=False))
        return self.word.attend(x_BTD) + self.bias[...]


def loss_of(model: MaskedLM, batch: tuple[jax.Array, ...]) -> jax.Array:
    """The mean over the labels that count."""
    tokens_BT, attended_BT, labels_BT = batch
    counts_BT = labels_BT >= 0
    logits_BTV = model(tokens_BT, attended_BT)
    losses_BT = optax.softmax_cross_entropy_with_integer_labels(logits_BTV, jnp.where(counts_BT, labels_BT, 0))
    return (losses_BT * counts_BT).sum() / counts_BT.sum()


def make(work: Given, _: Record) -> Stepper:
    """One nnx.jit around loss, gradient and update."""
    model = MaskedLM(work.encoder, nnx.Rngs(0))
    rule = optax.adamw(
        LEARNING_RATE,
        b1=BETAS[0],
        b2=BETAS[1],
        eps=EPS,
        weight_decay=DECAY,
        mask=lambda params: jax.tree.map(lambda leaf: leaf.ndim > 1, params),
    )
    optimizer = nnx.Optimizer(model, optax.chain(optax.clip_by_global_norm(CLIP), rule), wrt=nnx.Param)

    @nnx.jit
    def update(model: MaskedLM, optimizer: Any, batch: tuple[jax.Array, ...]) -> jax.Array:
        loss, grads = nnx.value_and_grad(loss_of)(model, batch)
        optimizer.update(model, grads)
        return loss

    batches = [tuple(jnp.asarray(field.numpy().astype("int32")) for field in labelled(one)) for one in work.batches]
    return Stepper(batches, lambda batch: update(model, optimizer, batch), float)


if __name__ == "__main__":
    serve_steps(make)
