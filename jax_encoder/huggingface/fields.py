"""The fields of a published config.json: each is used, known to change nothing here, or has the one value we know.

What is left over is refused, because a field that nobody read may change the function in silence.
"""

import reprlib
import sys
from collections.abc import Mapping
from typing import Any

from jax_encoder.errors import InputError

# Say who made a checkpoint, how to feed or train it, or what to hand back; the function stays.
_IRRELEVANT = frozenset(
    (
        *("model_type", "architectures", "_name_or_path", "name_or_path", "name", "transformers_version"),
        *("torch_dtype", "dtype", "finetuning_task", "tokenizer_class", "task_specific_params", "id2label"),
        *("label2id", "num_labels", "_num_labels", "problem_type", "language", "adapters", "prefix"),
        *("pad_token_id", "bos_token_id", "eos_token_id", "sep_token_id", "cls_token_id", "mask_token_id"),
        *("unk_token_id", "pad_token", "bos_token", "eos_token", "mask_token", "vocab_size_or_config_json_file"),
        *("use_cache", "output_past", "output_attentions", "output_hidden_states", "return_dict"),
        *("gradient_checkpointing", "torchscript", "use_bfloat16", "tf_legacy_loss", "_attn_implementation"),
        *("attn_implementation", "_attn_implementation_autoset", "_commit_hash", "chunk_size_feed_forward"),
        *("initializer_range", "initializer_cutoff_factor"),
        # What sentence-transformers does with the outputs.
        *("sentence_transformers", "sbert_ce_default_activation_function"),
        # Of generating text, which older versions of transformers wrote for every model.
        *("max_length", "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups", "temperature"),
        *("diversity_penalty", "top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty"),
        *("no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids", "num_return_sequences"),
        *("output_scores", "return_dict_in_generate", "forced_bos_token_id", "forced_eos_token_id"),
        *("remove_invalid_values", "exponential_decay_length_penalty", "suppress_tokens", "begin_suppress_tokens"),
        *("decoder_start_token_id",),
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
# Whatever is larger is damage; layers have names each, so that a made-up number of them would cost memory.
_MOST = {"num_hidden_layers": 1024, "n_layers": 1024, "inner_group_num": 16}
_MOST_WHOLE = 2**31 - 1
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxdict, _SHORT.maxlist, _SHORT.maxstring, _SHORT.maxlong = 3, 8, 8, 100, 100


class Fields:
    """A config.json as it is read; `finish` refuses what nobody asked for.

    Whoever asks gets a value that he can compute with, whatever stands there: the problem is told at the end, with
    all others.

    Args:
        values: the JSON object.
        source: who it is, for messages.
        irrelevant: names that change nothing whatever they say.
    """

    def __init__(self, values: Mapping[str, Any], source: str, irrelevant: frozenset[str] = _IRRELEVANT):
        self.values, self.source = values, source
        self._asked: set[str] = set(irrelevant)
        self._problems: list[str] = []

    def take(self, name: str, default: Any) -> Any:
        """The field's value, whatever it is, or transformers' default where it is left out."""
        self._asked.add(name)
        return self.values.get(name, default)

    def choose(self, name: str, default: Any, choices: Mapping[Any, Any]) -> Any:
        """What the field's value means; a value without a meaning here is a problem."""
        value = self.take(name, default)
        for choice, meaning in choices.items():
            if type(value) is type(choice) and value == choice:  # True == 1, but 1 is no switch
                return meaning
        known = ", ".join(repr(choice) for choice in choices)
        self.refuse(f"{name}={_said(value)}: only {known} can be computed here")
        return next(iter(choices.values()))

    def number(self, name: str, default: int | float) -> Any:
        """A number that is not negative, and whole where the default is; anything else is a problem."""
        return self._number(name, self.take(name, default), default)

    def number_or_null(self, name: str, default: int | float) -> Any:
        """A number, or the default where null says that transformers works it out."""
        return default if self.take(name, None) is None else self.number(name, default)

    def table(self, name: str) -> Mapping[str, Any]:
        """A JSON object, empty where it is left out or null; anything else is a problem."""
        value = self.take(name, None)
        if value is not None and not isinstance(value, dict):
            self.refuse(f"{name}={_said(value)}: must be a JSON object")
        return value if isinstance(value, dict) else {}

    def rope_theta(self, rope: Any, older: str, default: int | float) -> float:
        """The base of rotary positions that turn as Su et al. (2021) wrote them; another form is a problem.

        Args:
            rope: the object that says it in transformers 5, or None.
            older: the field that says it where the object does not.
            default: transformers'.
        """
        theta = self.number_or_null(older, default)
        if rope is None or rope == {}:
            return theta
        plain = isinstance(rope, dict) and rope.keys() <= {"rope_type", "rope_theta"}
        if not plain or rope.get("rope_type", "default") != "default":
            self.refuse(f"rope_parameters with {_said(rope)}: only rope_type 'default' can be computed here")
            return default
        return self._number("rope_theta", rope.get("rope_theta", theta), default)

    def must(self, known: Mapping[str, tuple[tuple[Any, ...], str]]) -> None:
        """Fields that may be left out or have one of some values; `known` says what any other would change."""
        for name, (values, effect) in known.items():
            self._asked.add(name)
            if name in self.values and self.values[name] not in values:
                self.refuse(f"{name}={_said(self.values[name])}: {effect}")

    def rename(self, older: Mapping[str, str]) -> None:
        """Reads fields by newer names; where both names stand there, they must say the same."""
        for old, new in older.items():
            self._asked.add(old)
            if old not in self.values:
                continue
            if new in self.values and self.values[new] != self.values[old]:
                said = f"{old}={_said(self.values[old])} and {new}={_said(self.values[new])}"
                self.refuse(f"{said}: two names of one field")
            self.values = {**self.values, new: self.values[old]}

    def ignore(self, *names: str) -> None:
        """Fields that change nothing in this family."""
        self._asked.update(names)

    def refuse(self, problem: str) -> None:
        """Notes a problem, to be told with all others."""
        self._problems.append(problem)

    def finish(self) -> None:
        """Raises InputError if anything cannot be kept or was not asked for."""
        if problems := self.problems():
            raise InputError(
                "\n  ".join([f"{self.source} asks for what this encoder does not compute:", *problems])
                + "\nremove a field only if you know that it changes nothing"
            )

    def problems(self) -> list[str]:
        """All that is wrong, once each."""
        self.must({name: known for name, known in _KNOWN.items() if name not in self._asked})
        unknown = sorted(self.values.keys() - self._asked)
        told = [f"{name}={_said(self.values[name])}: not known here, may change the function" for name in unknown]
        return list(dict.fromkeys(self._problems + told))

    def _number(self, name: str, value: Any, default: int | float) -> Any:
        whole = isinstance(default, int)
        most = _MOST.get(name, _MOST_WHOLE) if whole else sys.float_info.max
        fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if fits and 0 <= value <= most:
            return value if whole else float(value)
        kind = f"a whole number from 0 to {most}" if whole else "a number of at least 0"
        self.refuse(f"{name}={_said(value)}: must be {kind}")
        return default


def _said(value: Any) -> str:
    """A value in a message, cut where it is long or deep."""
    return _SHORT.repr(value)
