"""What `python -m parity check --against transformers` checks: every class of every family, or one checkpoint."""

import dataclasses
from collections.abc import Mapping

import transformers

from jax_encoder.errors import InputError
from jax_encoder.huggingface.checkpoint import Checkpoint
from jax_encoder.huggingface.families import FAMILIES
from parity.cases.case import Sizes
from parity.encoder.checkpoints import load_silently
from parity.encoder.subject import EncoderSubject
from parity.encoder.variants import sizes_of
from parity.errors import UsageError
from parity.judge.check import choose
from parity.published.form import Published
from parity.published.inputs import CASES
from parity.published.pair import Pair

__all__ = ["CASES", "PublishedSubject", "subject"]


@dataclasses.dataclass(frozen=True)
class PublishedVariant:
    """One class of one family, with sizes and options drawn at random."""

    family: str
    task: str
    seed: int
    by_default: bool = True

    @property
    def sizes(self) -> Sizes:
        return sizes_of(Published.draw(self.family, self.task, self.seed).config)

    def build(self) -> Pair:
        return Pair.draw(Published.draw(self.family, self.task, self.seed))


@dataclasses.dataclass(frozen=True, eq=False)
class CheckpointVariant:
    """A checkpoint with its own weights."""

    checkpoint: Checkpoint
    by_default: bool = True

    @property
    def sizes(self) -> Sizes:
        return sizes_of(self.checkpoint.config)

    def build(self) -> Pair:
        return Pair.of(self.checkpoint)


class PublishedSubject(EncoderSubject):
    """Our encoder against transformers' classes.

    Args:
        families: whose; empty takes all.
        seed: of sizes and options.
    """

    name = "jax_encoder against transformers"

    def __init__(self, families: tuple[str, ...] = (), seed: int = 0):
        self.families, self.seed = families or tuple(FAMILIES), seed

    def variants(self) -> dict[str, PublishedVariant]:  # type: ignore[override]
        return {
            FAMILIES[family].classes[0] + task: PublishedVariant(family, task, self.seed)
            for family in self.families
            for task in FAMILIES[family].heads
        }

    def environment(self) -> Mapping[str, str]:
        known = {"transformers": transformers.__version__}
        for name in self.families:
            if (reference := FAMILIES[name].reference) is not None:
                known[f"reference of {name}"] = reference
        return {**super().environment(), **known}


class CheckpointSubject(PublishedSubject):
    """Our encoder against transformers' class, each with a checkpoint's weights as it reads them by itself.

    Args:
        model: folder, or name on the hub.

    Raises:
        UsageError: it cannot be read; the message says why.
    """

    def __init__(self, model: str):
        super().__init__()
        try:
            checkpoint = load_silently(model)
        except InputError as error:
            raise UsageError(str(error)) from error
        family = FAMILIES[checkpoint.family]
        if family.reference is not None:
            raise UsageError(
                f"transformers has no class for {model}, a {checkpoint.architecture}: leave out --model, and "
                f"--family {family.name} holds the family against {family.reference}"
            )
        self.name = f"{model}, a {checkpoint.architecture}, in jax_encoder against transformers"
        self._variants = {checkpoint.architecture: CheckpointVariant(checkpoint)}

    def variants(self) -> dict[str, CheckpointVariant]:  # type: ignore[override]
        return self._variants


def subject(families: tuple[str, ...] = (), seed: int = 0, model: str | None = None) -> PublishedSubject:
    """What the command line checks.

    Raises:
        UsageError: no such family, or no such checkpoint.
    """
    if model is not None:
        if families or seed:
            raise UsageError("--family and --seed draw encoders at random; --model is one: leave out either")
        return CheckpointSubject(model)
    return PublishedSubject(tuple(choose("family", families or None, FAMILIES)), seed)
