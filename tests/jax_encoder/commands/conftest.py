"""Checkpoints that the commands are given."""

import pytest

from tests.jax_encoder.helpers import write_checkpoint


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> str:
    return str(write_checkpoint(tmp_path_factory.mktemp("bare")))


@pytest.fixture(scope="module")
def headed(tmp_path_factory) -> str:
    return str(write_checkpoint(tmp_path_factory.mktemp("headed"), head=True))
