"""A run that has not begun, for whatever happens to it."""

import shutil

import pytest

from jax_encoder.training.config import ModelOptions, OptimizerOptions, PretrainConfig, TextOptions
from jax_encoder.training.prepare import prepare
from jax_encoder.training.run_folder import RunFolder
from jax_encoder.training.session import Session, open_session
from tests.jax_encoder.training.helpers import STEPS, quiet, write_corpus


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> Session:
    """A run that has not begun; dropout is on, and its rows run out before its steps do."""
    folder = tmp_path_factory.mktemp("prepared")
    write_corpus(folder / "corpus.txt")
    config = PretrainConfig(
        run=str(folder / "run"),
        steps=STEPS,
        batch_size=4,
        accumulate=2,
        eval_every=3,
        checkpoint_every=4,
        text=TextOptions(data=(str(folder / "corpus.txt"),), vocab_size=120, max_eval_rows=3),
        model=ModelOptions(preset="tiny"),
        optimizer=OptimizerOptions(learning_rate=1e-3, warmup_steps=2),
    )
    return prepare(config, quiet())


@pytest.fixture(scope="session")
def reopen(prepared):
    """Opens a run's folder as a new process would, but for the compiled programs."""
    return lambda path: open_session(RunFolder(path))._replace(program=prepared.program)


@pytest.fixture
def session(prepared, reopen, tmp_path) -> Session:
    """The run before its first step, in a folder of its own."""
    shutil.copytree(prepared.folder.path, tmp_path / "run")
    return reopen(tmp_path / "run")
