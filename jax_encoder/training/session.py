"""A run as it lies in its folder, brought back to life."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import jax
from tokenizers import Tokenizer

from jax_encoder.config import EncoderConfig
from jax_encoder.data.batches import Batches, EvaluationBatches
from jax_encoder.data.masking import Masking
from jax_encoder.data.packing import load_rows
from jax_encoder.data.prepared.reader import PreparedBatches
from jax_encoder.data.tokenizer import load_tokenizer, vocabulary_of
from jax_encoder.data.units import continuing
from jax_encoder.errors import InputError
from jax_encoder.params import Params
from jax_encoder.training.checkpoint import Checkpoints
from jax_encoder.training.config import PretrainConfig, TextOptions
from jax_encoder.training.optimizer import average_of
from jax_encoder.training.prepared_text import recall
from jax_encoder.training.run_folder import RunFolder
from jax_encoder.training.sharding import choose_layout
from jax_encoder.training.step import Program, TrainState, build


class Session(NamedTuple):
    """All that training needs, read from the run's folder alone."""

    folder: RunFolder
    config: PretrainConfig
    encoder: EncoderConfig
    program: Program
    checkpoints: Checkpoints
    batches: Batches | PreparedBatches
    held_out: EvaluationBatches


class Trained(NamedTuple):
    """The parameters that a run has come to, or their moving average."""

    encoder: EncoderConfig
    config: PretrainConfig
    params: Params
    step: int


def open_session(folder: RunFolder, *, mesh: str | None = None) -> Session:
    """Builds what `config.json` says from the tokenizer and the rows in the folder.

    Args:
        folder: of the run.
        mesh: in place of the one that the run was begun on.

    Raises:
        InputError: a file is missing, damaged or from another version, or the devices are not those of the mesh.
    """
    config, encoder = folder.read_config()
    if mesh is not None:
        config = dataclasses.replace(config, mesh=mesh)
        config.check()
    layout = choose_layout(config, encoder)
    masking = masking_of(config.text, load_tokenizer(folder.tokenizer))
    held_out = load_rows(folder.rows, "held_out")
    return Session(
        folder,
        config,
        encoder,
        build(config, encoder, layout=layout),
        Checkpoints(folder.checkpoints, keep=config.keep),
        _training_batches(folder, masking, config),
        EvaluationBatches(
            held_out,
            masking,
            batch_size=config.batch_size // config.accumulate,
            max_rows=config.text.max_eval_rows,
        ),
    )


def masking_of(options: TextOptions, tokenizer: Tokenizer) -> Masking:
    """How a run hides tokens."""
    words = () if options.mask_unit == "tokens" else continuing(tokenizer)
    return Masking(vocabulary_of(tokenizer), options.mask_rate, options.mask_unit, options.mask_shares, words)


def _training_batches(folder: RunFolder, masking: Masking, config: PretrainConfig) -> Batches | PreparedBatches:
    if folder.prepared.is_file():
        return recall(folder.prepared, masking, config)
    return Batches(load_rows(folder.rows, "train"), masking, batch_size=config.batch_size, seed=config.seed)


def abstract_state(program: Program) -> TrainState:
    """Shapes, dtypes and places of a run's state, without computing one."""
    state = jax.eval_shape(program.init)
    one = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    places = jax.tree.map(lambda _: one, state) if program.layout is None else program.layout.of_state(state)
    return jax.tree.map(lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place), state, places)


def load_trained(path: Path, *, average: bool = False) -> Trained:
    """Reads the newest whole checkpoint of a run.

    Args:
        path: folder of the run.
        average: whether to read the moving average of the parameters in their place.

    Raises:
        InputError: no run, or no whole checkpoint, in `path`; or no average is kept there.
    """
    folder = RunFolder.open(path)
    config, encoder = folder.read_config()
    if average and config.optimizer.average is None:
        raise InputError(f"{path} keeps no moving average of its parameters: it was begun without --average")
    state = Checkpoints(folder.checkpoints, keep=config.keep).restore(abstract_state(build(config, encoder))).state
    params: Any = average_of(state.opt_state) if average else state.params
    return Trained(encoder, config, params, int(state.step))
