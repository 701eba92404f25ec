"""A run on text that was prepared before: what it takes from that folder, and how it finds it again."""

import dataclasses
import json
from pathlib import Path

from jax_encoder.config import EncoderConfig
from jax_encoder.data.files import once, write_json
from jax_encoder.data.masking import Masking
from jax_encoder.data.packing import Rows
from jax_encoder.data.prepared.manifest import is_prepared, read_manifest
from jax_encoder.data.prepared.reader import Prepared, PreparedBatches
from jax_encoder.errors import InputError
from jax_encoder.training.choose import fit_vocabulary
from jax_encoder.training.config import PretrainConfig, TextOptions

_COUNTED_TOKENS = 2**25  # for the baselines: counts of more would take memory that grows with the text


def find_prepared(options: TextOptions) -> Prepared | None:
    """The prepared folder that --data names, if it names one.

    Raises:
        InputError: it is damaged, or something stands beside it.
    """
    folders = [Path(name).expanduser() for name in options.data if is_prepared(Path(name).expanduser())]
    if not folders:
        return None
    if len(options.data) > 1:
        raise InputError(f"--data {folders[0]} was prepared and stands alone: prepare other text together with it")
    for name in ("tokenizer", "vocab_size"):
        if getattr(options, name) is not None:
            raise InputError(
                f"--{name.replace('_', '-')}: {folders[0]} has its tokenizer already: prepare the text anew"
            )
    return Prepared(folders[0], read_manifest(folders[0]))


def fit_encoder(prepared: Prepared, config: PretrainConfig, encoder: EncoderConfig) -> EncoderConfig:
    """The encoder with a vocabulary that holds the folder's.

    Raises:
        InputError: the folder's rows are not as long as was asked for, or too long for the encoder.
    """
    T, asked = prepared.manifest.row_length, config.model.seq_len
    if asked not in (None, T):
        raise InputError(
            f"{prepared.folder} has rows of {T} tokens, and this run is for {asked}, by --seq-len or its recipe: "
            f"say --seq-len {T}, or prepare the text with --seq-len {asked}"
        )
    if encoder.max_len < T:
        raise InputError(
            f"{prepared.folder} has rows of {T} tokens, longer than the {encoder.max_len} positions (max_len) of this "
            f"encoder: prepare the text with --seq-len {encoder.max_len}, or choose another --preset"
        )
    size = prepared.manifest.vocabulary
    return fit_vocabulary(dataclasses.replace(encoder, vocab_size=2**31), 2**31, size)


def held_out_rows(prepared: Prepared, options: TextOptions) -> Rows:
    """As many as evaluation takes: they are kept in the run's folder."""
    return prepared.some_rows("held_out", options.max_eval_rows)


def counted_rows(prepared: Prepared) -> Rows:
    """Training rows for the baselines."""
    return prepared.some_rows("train", max(1, _COUNTED_TOKENS // prepared.manifest.row_length))


def remember(prepared: Prepared, path: Path) -> None:
    """Writes where a run's text lies, and what it must be."""
    write_json(path, {"folder": str(prepared.folder.absolute()), "manifest": prepared.manifest.hash()})


def recall(path: Path, masking: Masking, config: PretrainConfig) -> PreparedBatches:
    """The training batches of a run whose text `remember` wrote down.

    Raises:
        InputError: the text is not there any more, or is another one.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once)
        folder, expected = Path(values["folder"]), values["manifest"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    if not is_prepared(folder):
        raise InputError(f"{folder}, the prepared text of this run, is not there any more: put it back")
    prepared = Prepared(folder, read_manifest(folder))
    if prepared.manifest.hash() != expected:
        raise InputError(f"{folder} is not the prepared text that this run was begun with: put that one back")
    return PreparedBatches(
        prepared, masking, batch_size=config.batch_size, seed=config.seed, workers=config.text.workers
    )
