"""What fields of a published config say of our config, one row each, both ways."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from jax_encoder.config import EncoderConfig
from jax_encoder.huggingface.fields import Fields


class Option(NamedTuple):
    """A field of theirs that says a field of ours.

    Attributes:
        ours: of `EncoderConfig`.
        theirs: of config.json.
        default: transformers', where the field is left out.
        meanings: their values -> ours; None where both are the same number, whole if the default is.
    """

    ours: str
    theirs: str
    default: Any
    meanings: Mapping[Any, Any] | None = None

    def read(self, fields: Fields) -> Any:
        """Our value; one that has no meaning here is noted in `fields`."""
        if self.meanings is None:
            return fields.number(self.theirs, self.default)
        return fields.choose(self.theirs, self.default, self.meanings)

    def write(self, config: EncoderConfig) -> Any:
        """Their value; the default where none has the meaning."""
        value = getattr(config, self.ours)
        if self.meanings is None:
            return value
        return next((theirs for theirs, ours in self.meanings.items() if ours == value), self.default)


# transformers' names of activations; all its tanh forms are one function.
ACTIVATIONS = {
    "gelu": "gelu_exact",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}


def activation(ours: str, theirs: str, default: str) -> Option:
    """A field that names an activation."""
    return Option(ours, theirs, default, ACTIVATIONS)


def switch(ours: str, theirs: str, default: bool) -> Option:
    """A field that is true or false."""
    return Option(ours, theirs, default, {False: False, True: True})


def with_defaults(options: Iterable[Option], defaults: Mapping[str, Any]) -> tuple[Option, ...]:
    """The same options with other defaults, by their names."""
    return tuple(option._replace(default=defaults.get(option.theirs, option.default)) for option in options)


def read(options: Iterable[Option], fields: Fields) -> dict[str, Any]:
    """Our fields from theirs."""
    return {option.ours: option.read(fields) for option in options}


def write(options: Iterable[Option], config: EncoderConfig) -> dict[str, Any]:
    """Their fields from ours."""
    return {option.theirs: option.write(config) for option in options}


def heads(fields: Fields, values: Mapping[str, Any], dim: str, num_heads: str) -> dict[str, Any]:
    """Our fields of heads that share the width evenly, or a problem is noted.

    Args:
        fields: get the problem.
        values: our embed_dim and num_heads.
        dim, num_heads: their names for these.
    """
    width, count = values["embed_dim"], values["num_heads"]
    if count < 1 or width % count:
        fields.refuse(f"{num_heads}={count}: must divide {dim}={width}")
        count = 1
    return {"num_heads": count, "num_key_value_heads": count, "head_dim": width // count}


def layers(count: int) -> dict[str, Any]:
    """So many layers that see everything, each with parameters of its own."""
    return {"num_layers": count, "layer_groups": tuple(range(count)), "windows": (None,) * count}
