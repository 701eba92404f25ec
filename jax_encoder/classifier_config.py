"""What scores classes from an encoder's output, as data. Standard library only, so that anything may import it."""

import dataclasses
from typing import Literal, get_args

ClassifierActivation = Literal["gelu_exact", "gelu_tanh", "relu", "silu", "tanh"]
Pooling = Literal["first", "mean", "late"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """What scores classes from an encoder's output.

    Attributes:
        num_classes: C.
        pooling: how a sequence becomes one vector: its "first" position (BERT), the "mean" of the valid ones before the
            transform, or "late", their mean after it (EuroBERT); None scores every position by itself.
        activation: of the transform, a square projection and an activation before the classes; None leaves it out.
        transform_bias: whether that projection has a bias.
        norm: whether the transform ends with a norm (ModernBERT).
    """

    num_classes: int
    pooling: Pooling | None
    activation: ClassifierActivation | None
    transform_bias: bool
    norm: bool

    def __post_init__(self) -> None:
        for name, choices in (("pooling", get_args(Pooling)), ("activation", get_args(ClassifierActivation))):
            if getattr(self, name) not in (None, *choices):
                raise ValueError(f"{name} must be None or one of {', '.join(choices)}, got {getattr(self, name)!r}")
        if not isinstance(self.num_classes, int) or isinstance(self.num_classes, bool) or self.num_classes < 1:
            raise ValueError(f"num_classes must be a whole number of at least 1, got {self.num_classes!r}")
        if self.activation is None and (self.transform_bias or self.norm):
            raise ValueError("transform_bias and norm belong to a transform: set an activation, or both to False")
