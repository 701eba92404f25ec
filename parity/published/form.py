"""What is compared: a class of a family, and an encoder of its form."""

import dataclasses
from typing import Any

from jax_encoder.config import EncoderConfig
from jax_encoder.huggingface.checkpoint import Checkpoint
from jax_encoder.huggingface.families import FAMILIES
from jax_encoder.huggingface.family import Family, Head
from jax_encoder.huggingface.fields import Fields
from jax_encoder.model import Parts
from parity.published.fields import draw_fields

_NUM_CLASSES = 7  # unlike the batch and every size of the encoders


@dataclasses.dataclass(frozen=True, eq=False)
class Published:
    """One class of one family.

    Attributes:
        family, head: whose names and parts.
        architecture: transformers' class.
        task: the end of its name.
        fields: of its config.
        config: of our encoder.
        parts: what stands on it.
        num_classes: of its classifier.
    """

    family: Family
    head: Head
    architecture: str
    task: str
    fields: dict[str, Any]
    config: EncoderConfig
    parts: Parts
    num_classes: int

    @classmethod
    def draw(cls, family_name: str, task: str, seed: int) -> "Published":
        """A small encoder drawn at random, read from its fields as a checkpoint's are."""
        family = FAMILIES[family_name]
        head, values = family.heads[task], draw_fields(family_name, seed)
        fields = Fields(values, f"the fields of {family_name}")
        config = family.read(fields)
        num_classes = 2 if task == "ForQuestionAnswering" else head.num_classes or _NUM_CLASSES
        classes = None if head.classes is None else head.classes(fields, num_classes)
        fields.finish()
        parts = Parts(
            head=any(row.ours[0].startswith("head.") for rows in (head.rows, *head.optional) for row in rows),
            pooler=task == "Model" and bool(head.optional),
            classifier=classes,
        )
        return cls(family, head, family.classes[0] + task, task, values, config, parts, num_classes)

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> "Published":
        """What a checkpoint holds, as far as its class computes anything with it."""
        family, parts = FAMILIES[checkpoint.family], checkpoint.parts
        ends = [checkpoint.architecture.removeprefix(begins) for begins in family.classes]
        task = next(end for end in ends if end in family.heads)
        parts = parts._replace(pooler=parts.pooler and task == "Model")
        num_classes = 2 if parts.classifier is None else parts.classifier.num_classes
        fields, config = dict(checkpoint.fields), checkpoint.config
        return cls(family, family.heads[task], checkpoint.architecture, task, fields, config, parts, num_classes)

    @property
    def by_token(self) -> bool:
        """Whether every position has classes of its own."""
        return self.parts.classifier is not None and self.parts.classifier.pooling is None
