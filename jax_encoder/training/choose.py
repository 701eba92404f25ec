"""From model options to the encoder that is trained. Standard library only."""

import dataclasses
import math
from pathlib import Path

from jax_encoder.config import EncoderConfig
from jax_encoder.errors import InputError
from jax_encoder.training.config import ModelOptions

# Logits fill the lanes of an accelerator when their number is a multiple of this.
_VOCAB_MULTIPLE = 64
_LONGEST_DEFAULT_ROW = 512


def choose_encoder(options: ModelOptions) -> EncoderConfig:
    """The preset or file that was asked for, with the dropout that was asked for.

    Raises:
        InputError: the file cannot be read or is refused, or rows are longer than the encoder's `max_len`.
    """
    encoder = _read_encoder(options.encoder) if options.encoder else getattr(EncoderConfig, options.preset)()
    if options.dropout is not None:
        rates = dict.fromkeys(("embedding_dropout", "attention_dropout", "residual_dropout"), options.dropout)
        encoder = dataclasses.replace(encoder, **rates)
    if row_length(options, encoder) > encoder.max_len:
        raise InputError(
            f"--seq-len {options.seq_len} is longer than the {encoder.max_len} positions (max_len) of "
            f"{options.encoder or 'preset ' + options.preset}: choose at most {encoder.max_len}, or another --preset"
        )
    return encoder


def row_length(options: ModelOptions, encoder: EncoderConfig) -> int:
    """T, tokens per row."""
    return options.seq_len or min(encoder.max_len, _LONGEST_DEFAULT_ROW)


def fit_vocabulary(encoder: EncoderConfig, asked: int, trained: int) -> EncoderConfig:
    """Gives the encoder room for a tokenizer that was asked to have `asked` tokens and came out with `trained`."""
    rounded = math.ceil(trained / _VOCAB_MULTIPLE) * _VOCAB_MULTIPLE
    return dataclasses.replace(encoder, vocab_size=min(asked, rounded))


def _read_encoder(path: str) -> EncoderConfig:
    try:
        return EncoderConfig.from_json(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read --encoder {path}: {error.strerror}") from None
    except (ValueError, TypeError) as error:
        raise InputError(f"--encoder {path}: {error}") from None
