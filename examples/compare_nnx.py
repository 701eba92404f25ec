"""An encoder layer of stock NNX parts beside torch's own: `python examples/compare_nnx.py`.

Three of NNX's defaults are others than torch's. They are found one behind the other, each at its line.
"""

import sys

import jax
import numpy as np
import torch
from flax import nnx

import parity

EMBED_DIM, NUM_HEADS, MLP_DIM = 8, 2, 12


class Layer(nnx.Module):
    """As one would write it first."""

    def __init__(self, rngs: nnx.Rngs):
        self.attention = nnx.MultiHeadAttention(NUM_HEADS, EMBED_DIM, decode=False, deterministic=True, rngs=rngs)
        self.norm1, self.norm2 = nnx.LayerNorm(EMBED_DIM, rngs=rngs), nnx.LayerNorm(EMBED_DIM, rngs=rngs)
        self.linear1 = nnx.Linear(EMBED_DIM, MLP_DIM, rngs=rngs)
        self.linear2 = nnx.Linear(MLP_DIM, EMBED_DIM, rngs=rngs)

    def __call__(self, src: jax.Array) -> jax.Array:
        x = self.norm1(src + self.attention(src))
        return self.norm2(x + self.linear2(nnx.gelu(self.linear1(x))))


def carry(layer: torch.nn.Module, model: Layer) -> None:
    """torch's weights into the port: what a porter writes first."""
    values = {name: value.numpy() for name, value in layer.state_dict().items()}
    split = EMBED_DIM, NUM_HEADS, EMBED_DIM // NUM_HEADS
    kernels = np.split(values["self_attn.in_proj_weight"], 3)
    biases = np.split(values["self_attn.in_proj_bias"], 3)
    attention = model.attention
    for part, kernel, bias in zip((attention.query, attention.key, attention.value), kernels, biases, strict=True):
        part.kernel[...], part.bias[...] = kernel.T.reshape(split), bias.reshape(split[1:])
    attention.out.kernel[...] = values["self_attn.out_proj.weight"].T.reshape(*split[1:], EMBED_DIM)
    attention.out.bias[...] = values["self_attn.out_proj.bias"]
    for name in ("norm1", "norm2", "linear1", "linear2"):
        part = getattr(model, name)
        weight = part.scale if "norm" in name else part.kernel
        weight[...], part.bias[...] = values[f"{name}.weight"].T, values[f"{name}.bias"]


torch.manual_seed(0)
theirs = torch.nn.TransformerEncoderLayer(EMBED_DIM, NUM_HEADS, MLP_DIM, batch_first=True, activation="gelu").eval()
ours = Layer(nnx.Rngs(0))
with torch.no_grad():
    for parameter in theirs.parameters():  # as if it had been trained: all at 0 or 1 hide mistakes
        parameter.add_(0.3 * torch.randn(parameter.shape))
carry(theirs, ours)

src = np.random.default_rng(0).normal(size=(3, 5, EMBED_DIM))
report = parity.compare(parity.jax(ours), parity.torch(theirs), {"src": src}, backward=True)
print(report, end="")
sys.exit(report.verdict != "PASS")
