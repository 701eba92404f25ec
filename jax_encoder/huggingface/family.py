"""What a family of published encoders is: how its config is read and written, and what its tensors are called."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from jax_encoder.classifier_config import ClassifierConfig
from jax_encoder.config import EncoderConfig
from jax_encoder.huggingface.fields import Fields
from jax_encoder.huggingface.rows import Row, within
from jax_encoder.huggingface.tensors import Tensors

RowsOf = Callable[[EncoderConfig], list[Row]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Head:
    """What one class of a family puts on the encoder.

    Attributes:
        rows: of its tensors, besides the encoder's; our names begin with head, pooler or classifier.
        optional: groups of rows that files of this class may have too, each whole or not at all.
        classes: the classifier's form, given the fields and the number of classes; None has no classifier.
        num_classes: where the class and not the config says how many; None asks the config.
        unused: tensors that files of this class may have too although it computes nothing with them, or only where the
            config asks for their part.
    """

    rows: tuple[Row, ...] = ()
    optional: tuple[tuple[Row, ...], ...] = ()
    classes: Callable[[Fields, int], ClassifierConfig] | None = None
    num_classes: int | None = None
    unused: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """One family, as data and a few functions.

    Attributes:
        model_types: of config.json; the first is what we write.
        classes: how transformers' classes of each model type begin: `Bert` for `BertForMaskedLM`.
        prefix: of the encoder's tensors within a model with heads; the encoder's own files leave it out.
        read: the encoder's config from the fields.
        write: the fields from an encoder's config, as far as the family has them; `read` of it shows what it lacks.
        embedding: rows besides the layers', below the prefix; ours lie below `encoder.`.
        layer: rows of one layer, below its name.
        layer_names: what each set of layers' parameters is called, below the prefix.
        heads: by the end of the class's name; the first is the bare encoder.
        tied: their decoder, which is the word embedding where the config ties it.
        duplicates: names that repeat a tensor -> the tensor.
        called: where another family has the model type; the class tells them apart.
        reference: what our encoder is held against where transformers has no such classes; None holds it against these.
        buffers: tensors that are no parameters, by how they end: positions counted from 0, or token types of 0.
        told_by_tensors: fields of our config that such tensors say and config.json does not.
        amended: the config with these fields, given a file's tensors. Raises InputError if they cannot be.
        constants: tensors of a new file that are no parameters.
    """

    model_types: tuple[str, ...]
    classes: tuple[str, ...]
    prefix: str
    read: Callable[[Fields], EncoderConfig]
    write: Callable[[EncoderConfig], dict[str, Any]]
    embedding: tuple[Row, ...]
    layer: RowsOf
    layer_names: Callable[[EncoderConfig], list[str]]
    heads: dict[str, Head]
    tied: str
    duplicates: dict[str, str] = dataclasses.field(default_factory=dict)
    called: str | None = None
    reference: str | None = None
    buffers: tuple[str, ...] = ("position_ids", "token_type_ids")
    told_by_tensors: tuple[str, ...] = ()
    amended: Callable[[EncoderConfig, Tensors], EncoderConfig] = lambda config, _: config
    constants: Callable[[EncoderConfig], Tensors] = lambda _: {}

    @property
    def name(self) -> str:
        """What it is called here."""
        return self.called or self.model_types[0]

    def rows(self, config: EncoderConfig, head: Head) -> Iterator[Row]:
        """Every row that a file with this head may have; those of parameters that the config lacks are among them."""
        yield from within(self.embedding, self.prefix, "encoder.")
        for index, name in enumerate(self.layer_names(config)):
            yield from within(self.layer(config), f"{self.prefix}{name}.", f"encoder.layers.{index}.")
        yield from head.rows
        for group in head.optional:
            yield from group


def numbered(stem: str) -> Callable[[EncoderConfig], list[str]]:
    """Layers that are called by their number."""
    return lambda config: [f"{stem}.{layer}" for layer in range(len(set(config.layer_groups)))]


def token_classes(fields: Fields, num_classes: int) -> ClassifierConfig:
    """Every position by itself, straight from the encoder's output."""
    return ClassifierConfig(num_classes=num_classes, pooling=None, activation=None, transform_bias=False, norm=False)


def first_token_classes(activation: Any) -> Callable[[Fields, int], ClassifierConfig]:
    """The first position, projected and bent."""

    def classes(fields: Fields, num_classes: int) -> ClassifierConfig:
        return ClassifierConfig(
            num_classes=num_classes, pooling="first", activation=activation, transform_bias=True, norm=False
        )

    return classes
