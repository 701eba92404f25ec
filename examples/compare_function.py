"""A pair for the command: `python -m parity compare examples/compare_function.py`.

The port attends to what it should not see, and its scores have another scale.
"""

import jax
import jax.numpy as jnp
import numpy as np
import torch

import parity


def attend(query, key, value, mask):
    """Written from memory."""
    scores = query @ key.mT / jnp.sqrt(query.shape[-1] * 2)
    scores = jnp.where(mask[:, None] == 0, scores, -1e9)
    return jax.nn.softmax(scores) @ value


def reference(query, key, value, mask):
    """torch's own."""
    return torch.nn.functional.scaled_dot_product_attention(query, key, value, mask[:, None] != 0)


def pair():
    """Both, and what they are given."""
    random = np.random.default_rng(0)
    inputs = {name: random.normal(size=(3, 5, 8)) for name in ("query", "key", "value")}
    inputs["mask"] = (np.arange(5) < np.asarray([5, 3, 2])[:, None]).astype(np.int64)
    return parity.jax(attend), parity.torch(reference), inputs


if __name__ == "__main__":
    print(parity.compare(*pair()), end="")
