"""Mistakes in dropout: what drops although nobody asked, and what is left of what is kept."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from torch import Tensor

import jax_encoder.dropout
import jax_encoder.encoder
import torch_ref
from parity.encoder.bugs import applies
from parity.encoder.bugs.model import JaxPlot, ModelBug, Patch, Plant
from parity.encoder.bugs.plant import patched
from parity.encoder.inputs import keeps_of
from torch_ref import masks

RATES = ("embedding_dropout", "attention_dropout", "residual_dropout")
# What reads the embeddings, the attention weights, and what is added to the residual stream, after something dropped.
_EMBEDDING = r"embedding_projection|layers\.0\.(attention\.(query|key|value)|attention_(norm|residual))"
_WEIGHTS = r"layers\.\d+\.attention\.context"
_RESIDUAL = r"layers\.\d+\.(attention|mlp)_residual"


def _in_evaluation(rate: str) -> tuple[Plant, Plant]:
    """Dropout of one rate although no key or mask is given: drawn from a key that is always the same.

    Draws are those of our side, so that either side's mistake is what the other's would be.
    """
    off: dict[str, Any] = {other: 0.0 for other in RATES if other != rate}

    def key() -> jax.Array:
        return jax.random.key(0)

    def plant(model: Any, patch: Patch) -> None:
        plain, config = torch_ref.Encoder.forward, dataclasses.replace(model.encoder.config, **off)
        model.encoder.config = config

        def forward(
            self: Any, tokens: Tensor, mask: Any, positions: Any = None, types: Any = None, _: Any = None
        ) -> Any:
            return plain(self, tokens, mask, positions, types, keeps_of(key(), config, tuple(tokens.shape)))

        patch.set(torch_ref.Encoder, "forward", forward)

    def in_jax(plot: JaxPlot, patch: Patch) -> None:
        plain = jax_encoder.encoder.Encoder.__call__
        plot.configure(**off)

        def call(self: Any, *inputs: Any, **options: Any) -> Any:
            return plain(self, *inputs, **options | {"dropout_key": key()})

        patch.set(jax_encoder.encoder.Encoder, "__call__", call)

    return plant, in_jax


def _on(name: str, what: str, rate: str, where: str, **rest: Any) -> ModelBug:
    plant, in_jax = _in_evaluation(rate)
    return ModelBug(
        name=f"dropout-on-{name}",
        mistake=f"dropout of {what} active in evaluation",
        where=where,
        plant=plant,
        in_jax=in_jax,
        applies=applies.deployed_with(rate),
        **rest,
    )


def _our_unscaled(x: Any, drop: Any) -> Any:
    return x if drop is None else jnp.where(jax_encoder.dropout.keep(drop.key, drop.rate, x.shape), x, 0)


def _unscaled(x: Tensor, keep: Tensor | None, _: float) -> Tensor:
    return x if keep is None else x * keep


DROPOUT_BUGS = (
    _on(
        "embedding",
        "the embeddings",
        "embedding_dropout",
        _EMBEDDING,
        variant="post-deployed",
        first=r"layers\.0\.attention\.query",
    ),
    _on("weights", "the attention weights", "attention_dropout", _WEIGHTS, variant="pre-deployed"),
    _on("residual", "what layers add", "residual_dropout", _RESIDUAL, variant="pre-deployed"),
    ModelBug(
        name="dropout-scale",
        mistake="dropout not divided by the keep probability",
        where=rf"{_EMBEDDING}|{_WEIGHTS}|{_RESIDUAL}",
        plant=patched(masks, "drop", _unscaled),
        in_jax=patched(jax_encoder.dropout, "apply", _our_unscaled),
        variant="post-dropout",
        first=r"layers\.0\.attention\.query",
        applies=applies.drops,
    ),
)
