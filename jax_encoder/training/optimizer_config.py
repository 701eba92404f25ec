"""What moves the parameters of a run, and how far. Standard library only."""

import dataclasses
import math
from typing import Literal

from jax_encoder.errors import InputError
from jax_encoder.training.limits import at_least, within

# `jax_encoder.training.optimizer` has both.
Optimizer = Literal["adamw", "stable_adamw", "lamb", "muon"]
Schedule = Literal["cosine", "linear", "wsd", "wsd_sqrt", "inverse_root"]
STAYING = ("wsd", "wsd_sqrt")  # at the highest rate, until the last steps


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerOptions:
    """The optimizer, and its learning rate over time.

    Attributes:
        optimizer: AdamW (Loshchilov & Hutter 2019); StableAdamW, whose step is shorter where gradients surprise
            (Wortsman et al. 2023); LAMB, whose step is as long as the parameter (You et al. 2020); or Muon, which makes
            the steps of hidden layers' matrices orthogonal and leaves the rest to AdamW, at the same learning rate
            (Jordan et al. 2024).
        learning_rate: The highest learning rate, reached after the warm-up.
        warmup_steps: Steps over which the learning rate rises linearly from almost 0.
        schedule: How the learning rate falls to 0 after the warm-up: as a cosine, linearly, or (warm-up, stable, decay)
            not until the last --decay-fraction of all steps, then linearly or as 1 - the root of the share that is
            over; inverse_root falls with the root of the steps so far, and never to 0.
        decay_fraction: Share of all steps over which wsd and wsd_sqrt fall to 0.
        weight_decay: Decoupled, times the learning rate; on kernels and embedding tables only.
        momentum: Of Muon's matrices: decay of the mean of their gradients.
        average: Decay of a moving average of the parameters, which the run keeps beside them and `export --average`
            writes. None: none is kept.
        b1: Decay of the mean of the gradients.
        b2: Decay of the mean of their squares.
        eps: Added to the root of the mean square, outside the root.
        clip_norm: Gradients whose global norm is larger are scaled down to it; None: none are.
    """

    optimizer: Optimizer = "adamw"
    learning_rate: float = 3e-3
    warmup_steps: int = 100
    schedule: Schedule = "cosine"
    decay_fraction: float = 0.2
    weight_decay: float = 0.01
    b1: float = 0.9
    b2: float = 0.98
    momentum: float = 0.95
    average: float | None = None
    eps: float = 1e-8
    clip_norm: float | None = 1.0

    def check(self, steps: int) -> None:
        """Raises InputError for a value that cannot work in a run of `steps`."""
        for name in ("learning_rate", "eps", *(() if self.clip_norm is None else ("clip_norm",))):
            within(name, getattr(self, name), above=0, below=math.inf)
        for name in ("b1", "b2", "momentum", *(() if self.average is None else ("average",))):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"--{name} must be at least 0 and below 1, got {getattr(self, name)}")
        if not 0 <= self.weight_decay < math.inf:
            raise InputError(f"--weight-decay must be at least 0, got {self.weight_decay}")
        at_least("warmup_steps", self.warmup_steps, 0)
        if self.warmup_steps >= steps:
            raise InputError(
                f"--warmup-steps {self.warmup_steps} leaves nothing of --steps {steps}: choose fewer, or train longer"
            )
        if self.schedule in STAYING:
            within("decay_fraction", self.decay_fraction, above=0, below=1)
            if self.warmup_steps + self.decay_steps(steps) > steps:
                raise InputError(
                    f"--warmup-steps {self.warmup_steps} and a decay over {self.decay_steps(steps)} steps "
                    f"(--decay-fraction {self.decay_fraction}) do not fit into --steps {steps}"
                )

    def decay_steps(self, steps: int) -> int:
        """Steps over which a schedule that stays up falls, at least one."""
        return max(1, round(self.decay_fraction * steps))
