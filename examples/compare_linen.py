"""A Linen module beside a PyTorch one, with parameters drawn at random: `python examples/compare_linen.py`."""

import sys

import numpy as np
import torch
from flax import linen

import parity


class MLP(linen.Module):
    """Two layers."""

    @linen.compact
    def __call__(self, x):
        return linen.Dense(6, name="down")(linen.silu(linen.Dense(12, name="up")(x)))


torch.manual_seed(0)
theirs = torch.nn.Sequential(torch.nn.Linear(8, 12), torch.nn.SiLU(), torch.nn.Linear(12, 6))
values = {name: value.numpy() for name, value in theirs.state_dict().items()}
up, down = ({"kernel": values[f"{n}.weight"].T, "bias": values[f"{n}.bias"]} for n in (0, 2))

x = np.random.default_rng(0).normal(size=(5, 8))
report = parity.compare(
    parity.jax(MLP(), {"params": {"up": up, "down": down}}),
    parity.torch(theirs, inputs={"x": "input"}),
    {"x": x},
    weights="randomise",
    backward=True,
)
print(report, end="")
sys.exit(report.verdict != "PASS")
