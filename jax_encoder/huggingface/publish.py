"""An encoder that was trained here, in the form of a published family."""

import json
from typing import Any

from tokenizers import Tokenizer, processors

from jax_encoder.config import EncoderConfig
from jax_encoder.data.tokenizer import Vocabulary, vocabulary_of
from jax_encoder.errors import InputError
from jax_encoder.huggingface.checkpoint import Checkpoint, family_for
from jax_encoder.model import MASKED_LM
from jax_encoder.params import Named

_SPECIAL = ("pad", "unk", "cls", "sep", "mask")


def published(encoder: EncoderConfig, params: Named, tokenizer: Tokenizer) -> Checkpoint:
    """A masked language model as a checkpoint of the first family that can express it.

    Args:
        encoder: its config.
        params: of a `MaskedLM`.
        tokenizer: that it was trained with.

    Raises:
        InputError: no family can express the encoder, or positions would be counted otherwise there.
    """
    family, vocabulary = family_for(encoder), vocabulary_of(tokenizer)
    _check_padding(encoder, vocabulary)
    return Checkpoint(
        config=encoder,
        parts=MASKED_LM,
        params=params,
        family=family.name,
        architecture=f"{family.classes[0]}ForMaskedLM",
        fields={"model_type": family.name, **family.write(encoder), **_ids(vocabulary)},
        tokenizer=_as_trained(tokenizer, vocabulary),
        beside=_beside(encoder, tokenizer, vocabulary),
    )


def _check_padding(encoder: EncoderConfig, vocabulary: Vocabulary) -> None:
    """RoBERTa's relatives count the tokens that are not padding, from the row after the padding token's number on."""
    if encoder.position_offset and vocabulary.pad != encoder.position_offset - 1:
        raise InputError(
            f"positions that start at row {encoder.position_offset} belong to a padding token of number "
            f"{encoder.position_offset - 1}, and the tokenizer's is {vocabulary.pad}: transformers would count other "
            "positions; train with --tokenizer whose padding has that number, or with position_offset 0"
        )


def _as_trained(tokenizer: Tokenizer, vocabulary: Vocabulary) -> Tokenizer:
    """The tokenizer with special tokens marked and texts framed as in training, whatever its file does."""
    made = Tokenizer.from_str(tokenizer.to_str())
    made.no_padding()
    made.no_truncation()
    marked = made.get_added_tokens_decoder()
    named = {id_: made.id_to_token(id_) for name in _SPECIAL if (id_ := getattr(vocabulary, name)) is not None}
    made.add_special_tokens([token for id_, token in named.items() if id_ not in marked])
    if made.encode("").ids != [vocabulary.cls, vocabulary.sep]:
        begin, end = named[vocabulary.cls], named[vocabulary.sep]
        made.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A {end}",
            pair=f"{begin} $A {end} $B:1 {end}:1",
            special_tokens=[(begin, vocabulary.cls), (end, vocabulary.sep)],
        )
    return made


def _ids(vocabulary: Vocabulary) -> dict[str, int]:
    """Special tokens as config.json has them; where a sentence begins and ends are BERT's separators."""
    ids = {name: getattr(vocabulary, name) for name in ("pad", "cls", "sep", "mask")}
    return {f"{name}_token_id": value for name, value in (ids | {"bos": ids["cls"], "eos": ids["sep"]}).items()}


def _beside(encoder: EncoderConfig, tokenizer: Tokenizer, vocabulary: Vocabulary) -> dict[str, bytes]:
    """What the two libraries read beside config.json and weights."""
    tokens = {
        f"{name}_token": tokenizer.id_to_token(value)
        for name in _SPECIAL
        if (value := getattr(vocabulary, name)) is not None
    }
    types = ["token_type_ids"] if encoder.num_token_types else []
    transformer, pooling = "sentence_transformers.models.Transformer", "sentence_transformers.models.Pooling"
    files: dict[str, Any] = {
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": encoder.max_len,
            "model_input_names": ["input_ids", *types, "attention_mask"],
            **tokens,
        },
        "special_tokens_map.json": tokens,
        "sentence_bert_config.json": {"max_seq_length": encoder.max_len, "do_lower_case": False},
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": transformer},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": pooling},
        ],
        "1_Pooling/config.json": {
            "word_embedding_dimension": encoder.embed_dim,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
    }
    return {name: (json.dumps(content, indent=2) + "\n").encode() for name, content in files.items()}
