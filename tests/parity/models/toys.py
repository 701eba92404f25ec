"""Small models to compare: torch's own encoder layer, and the same of stock NNX parts."""

import jax
import numpy as np
import torch
from flax import nnx

EMBED_DIM, NUM_HEADS, MLP_DIM = 8, 2, 12
HEAD_DIM = EMBED_DIM // NUM_HEADS


class Layer(nnx.Module):
    """An encoder layer of stock parts: with NNX's defaults, or made equal to torch's."""

    def __init__(self, *, made_equal: bool):
        rngs = nnx.Rngs(0)
        epsilon = {"epsilon": 1e-5} if made_equal else {}
        self.attention = nnx.MultiHeadAttention(NUM_HEADS, EMBED_DIM, decode=False, deterministic=True, rngs=rngs)
        self.norm1 = nnx.LayerNorm(EMBED_DIM, rngs=rngs, **epsilon)
        self.norm2 = nnx.LayerNorm(EMBED_DIM, rngs=rngs, **epsilon)
        self.linear1 = nnx.Linear(EMBED_DIM, MLP_DIM, rngs=rngs)
        self.linear2 = nnx.Linear(MLP_DIM, EMBED_DIM, rngs=rngs)
        self.approximate = not made_equal

    def __call__(self, src):
        normed = self.norm1(src + self.attention(src))
        hidden = jax.nn.gelu(self.linear1(normed), approximate=self.approximate)
        return self.norm2(normed + self.linear2(hidden))


def torch_layer() -> torch.nn.TransformerEncoderLayer:
    """torch's layer, no parameter of it one number throughout."""
    layer = torch.nn.TransformerEncoderLayer(
        EMBED_DIM, NUM_HEADS, MLP_DIM, batch_first=True, activation="gelu", dropout=0.1
    )
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=random) * 0.5 + (parameter == 1))
    return layer.eval()


def carried(layer: torch.nn.TransformerEncoderLayer, *, made_equal: bool) -> Layer:
    """The NNX layer with torch's parameters."""
    model, values = Layer(made_equal=made_equal), {k: v.numpy() for k, v in layer.state_dict().items()}
    for place, name in enumerate(("query", "key", "value")):
        part = getattr(model.attention, name)
        rows = slice(place * EMBED_DIM, (place + 1) * EMBED_DIM)
        part.kernel[...] = values["self_attn.in_proj_weight"][rows].T.reshape(EMBED_DIM, NUM_HEADS, HEAD_DIM)
        part.bias[...] = values["self_attn.in_proj_bias"][rows].reshape(NUM_HEADS, HEAD_DIM)
    out = values["self_attn.out_proj.weight"].T
    model.attention.out.kernel[...] = out.reshape(NUM_HEADS, HEAD_DIM, EMBED_DIM)
    model.attention.out.bias[...] = values["self_attn.out_proj.bias"]
    for name in ("norm1", "norm2", "linear1", "linear2"):
        part, kind = getattr(model, name), "scale" if "norm" in name else "kernel"
        getattr(part, kind)[...] = values[f"{name}.weight"].T
        part.bias[...] = values[f"{name}.bias"]
    return model


def sequences(*shape: int) -> np.ndarray:
    """Random inputs, of the layer's width unless a shape is given."""
    return np.random.default_rng(0).normal(size=shape or (3, 5, EMBED_DIM)).astype(np.float32)
