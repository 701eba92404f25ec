"""Encode with a fresh encoder, then train one: `python examples/encode_and_train.py [RUN [TEXT.txt ...]]`.

RUN is the folder to make. Without TEXT it takes the State of the Union addresses, which `pip install '.[demo]'` brings.
"""

import sys
from pathlib import Path

import jax.numpy as jnp
from flax import nnx
from rich.console import Console

from jax_encoder import EncoderConfig, MaskedLM, masks
from jax_encoder.training.config import OptimizerOptions, PretrainConfig, TextOptions
from jax_encoder.training.loop import train
from jax_encoder.training.prepare import prepare
from jax_encoder.training.session import load_trained

RUN, *TEXT = sys.argv[1:] or ["runs/example"]


def show(name: str, model: MaskedLM) -> None:
    """Encodes two rows, the second with one position of padding, and prints a score and an attention weight."""
    tokens = jnp.asarray([[2, 17, 29, 3], [2, 11, 3, 0]])
    mask = masks.from_lengths(jnp.asarray([4, 3]), 4)
    logits, taps = nnx.jit(lambda model, tokens, mask: model(tokens, mask))(model, tokens, mask)
    weights = taps.encoder.layers[0].attention.weights
    print(f"{name}: logits {logits.shape}, first {logits[0, 0, 0]:.4f}; weight {weights[0, 0, 0, 1]:.4f}")


show("fresh", MaskedLM(EncoderConfig.mini(), rngs=nnx.Rngs(0)))

config = PretrainConfig(
    run=RUN,
    steps=60,
    text=TextOptions(data=tuple(TEXT)),
    optimizer=OptimizerOptions(warmup_steps=10),
)
train(prepare(config, Console()), Console())

trained = load_trained(Path(RUN))
model = MaskedLM(trained.encoder, rngs=nnx.Rngs(0))
nnx.update(model, trained.params)
show(f"after {trained.step} steps", model)
