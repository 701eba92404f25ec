"""The fields of a published config.json: each is used, known to change nothing here, or has the one value we know.

What is left over is refused, because a field that nobody read may change the function in silence.
"""

from collections.abc import Mapping
from typing import Any

from jax_encoder.errors import InputError

# Say who made a checkpoint, how to feed or train it, or what to hand back; the function stays.
_IRRELEVANT = frozenset(
    (
        *("model_type", "architectures", "_name_or_path", "name_or_path", "transformers_version"),
        *("torch_dtype", "dtype", "finetuning_task", "tokenizer_class", "task_specific_params", "id2label"),
        *("label2id", "num_labels", "problem_type", "language", "adapters", "pad_token_id", "bos_token_id"),
        *("eos_token_id", "sep_token_id", "cls_token_id", "mask_token_id", "unk_token_id", "prefix"),
        *("use_cache", "output_past", "output_attentions", "output_hidden_states", "return_dict"),
        *("gradient_checkpointing", "torchscript", "use_bfloat16", "_attn_implementation"),
        *("attn_implementation", "_commit_hash", "chunk_size_feed_forward", "initializer_range"),
        *("initializer_cutoff_factor"),
    )
)
# The values with which a field changes nothing, and what any other would do.
_KNOWN: dict[str, tuple[tuple[Any, ...], str]] = {
    "is_decoder": ((False, None), "tokens would not see what follows them"),
    "is_encoder_decoder": ((False, None), "there would be a decoder"),
    "add_cross_attention": ((False, None), "layers would attend to a second sequence"),
    "cross_attention_hidden_size": ((None,), "layers would attend to a second sequence"),
    "tie_encoder_decoder": ((False, None), "there would be a decoder"),
    "pruned_heads": (({}, None), "some heads would be missing"),
    "auto_map": ((None,), "the model would be code of its own"),
    "quantization_config": ((None,), "weights would be quantised"),
}


class Fields:
    """A config.json as it is read; `finish` refuses what nobody asked for.

    Args:
        values: the JSON object.
        source: who it is, for messages.
    """

    def __init__(self, values: Mapping[str, Any], source: str):
        self.values, self.source = values, source
        self._asked: set[str] = set(_IRRELEVANT)
        self._problems: list[str] = []
        self.must(_KNOWN)

    def take(self, name: str, default: Any) -> Any:
        """The field's value, or transformers' default where it is left out."""
        self._asked.add(name)
        return self.values.get(name, default)

    def choose(self, name: str, default: Any, choices: Mapping[Any, Any]) -> Any:
        """What the field's value means; a value without a meaning here is a problem."""
        value = self.take(name, default)
        if isinstance(value, str | int | bool | None) and value in choices:
            return choices[value]
        known = ", ".join(repr(choice) for choice in choices)
        self._problems.append(f"{name}={value!r}: only {known} can be computed here")
        return next(iter(choices.values()))

    def number(self, name: str, default: float) -> Any:
        """A number; anything else is a problem."""
        value = self.take(name, default)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        self._problems.append(f"{name}={value!r}: must be a number")
        return default

    def must(self, known: Mapping[str, tuple[tuple[Any, ...], str]]) -> None:
        """Fields that may be left out or have one of some values; `known` says what any other would change."""
        for name, (values, effect) in known.items():
            self._asked.add(name)
            if name in self.values and self.values[name] not in values:
                self._problems.append(f"{name}={self.values[name]!r}: {effect}")

    def ignore(self, *names: str) -> None:
        """Fields that change nothing in this family."""
        self._asked.update(names)

    def refuse(self, problem: str) -> None:
        """Notes a problem, to be told with all others."""
        self._problems.append(problem)

    def finish(self) -> None:
        """Raises InputError if anything cannot be kept or was not asked for."""
        unknown = sorted(self.values.keys() - self._asked)
        unknown_said = [f"{name}={self.values[name]!r}: not known here, may change the function" for name in unknown]
        if problems := self._problems + unknown_said:
            raise InputError(
                "\n  ".join([f"{self.source} asks for what this encoder does not compute:", *problems])
                + "\nremove a field only if you know that it changes nothing"
            )
