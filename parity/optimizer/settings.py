"""The optimizers that are compared: numbers that mean the same on both sides.

How each is said on either side::

    | here | optax | torch.optim |
    |---|---|---|
    | stable_adamw, lamb, muon | `jax_encoder.training.layered` | `torch_ref.optimizers`, written after the papers |
    | average | `jax_encoder.training.optimizer.averaging` | `swa_utils`, which starts as the first step's parameters |
    | adamw | `adamw`: decay added to the update, times the learning rate | `AdamW`: parameters times 1 - lr * decay |
    | adam | `add_decayed_weights` before `adam` | `Adam`: its weight_decay is added to the gradient |
    | sgd | `add_decayed_weights` before `sgd` | `SGD`: its weight_decay is added to the gradient |
    | b1, b2 | `b1`, `b2` | `betas` |
    | eps | `eps`, outside the root, and `eps_root=0` | `eps`, outside the root; there is no other |
    | bias correction | by the count after the step: 1, 2, ... | the same |
    | momentum | `momentum`; the trace starts at 0 | `momentum`, and `dampening=0`; starts as the first gradient |
    | nesterov | `nesterov` | `nesterov` |
    | weight_decay | `weight_decay`, 1e-4 if left out, and a mask | `weight_decay` of a group; AdamW: 1e-2 if left out |
    | clip_norm | `clip_by_global_norm`: times clip_norm / norm | by hand: `clip_grad_norm_` divides by norm + 1e-6 |
    | layers | lie in one array, and are parameters of their own | are parameters of their own |
    | schedule | a function of the count before the step: 0, 1, ... | `lr`, set before every step |
"""

import dataclasses
from collections.abc import Mapping
from typing import Literal


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """The numbers of one optimizer; both sides are built from this, as the module's table says.

    `amsgrad` is off on both sides: optax's is another transformation.
    """

    optimizer: Literal["adamw", "adam", "sgd", "stable_adamw", "lamb", "muon"]
    schedule: Literal["cosine", "linear", "wsd", "wsd_sqrt", "inverse_root"] = "cosine"
    steps: int = 12
    learning_rate: float = 3e-3
    warmup_steps: int = 5
    decay_fraction: float = 0.4
    b1: float = 0.9
    b2: float = 0.98
    eps: float = 1e-8
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    average: float | None = None


# The compared steps 3 to 8 see the end of the warm-up, the peak at 5 and, from 7 on, wsd's fall.
VARIANTS: Mapping[str, Settings] = {
    "adamw-cosine": Settings(optimizer="adamw"),
    "adamw-linear": Settings(optimizer="adamw", schedule="linear"),
    "adamw-wsd": Settings(optimizer="adamw", schedule="wsd"),
    "adamw-no-warmup": Settings(optimizer="adamw", warmup_steps=0),
    "adamw-wsd-sqrt": Settings(optimizer="adamw", schedule="wsd_sqrt"),
    "adamw-inverse-root": Settings(optimizer="adamw", schedule="inverse_root"),
    "adamw-average": Settings(optimizer="adamw", average=0.9),
    "stable-adamw": Settings(optimizer="stable_adamw"),
    "lamb": Settings(optimizer="lamb"),
    "muon": Settings(optimizer="muon", momentum=0.95),
    "adam-cosine": Settings(optimizer="adam"),
    "sgd-linear": Settings(optimizer="sgd", schedule="linear"),
    "sgd-nesterov": Settings(optimizer="sgd", nesterov=True),
}

# Typical magnitude of a gradient's entries. At 1 they are clipped; at 1e-7 Adam's epsilon shows.
CASES: Mapping[str, float] = {"gradient-1": 1.0, "gradient-1e-4": 1e-4, "gradient-1e-7": 1e-7}
