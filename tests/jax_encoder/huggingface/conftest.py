"""Published checkpoints that several files of tests read, made once for each."""

from pathlib import Path

import pytest

from jax_encoder.huggingface.checkpoint import TOKENIZER
from jax_encoder.huggingface.tensors import Tensors
from tests.jax_encoder.huggingface.helpers import fields_in, save_with_transformers, tensors_in
from tests.jax_encoder.huggingface.made import wordpiece


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Path:
    """A masked-language model with a tokenizer."""
    folder = tmp_path_factory.mktemp("bert") / "published"
    save_with_transformers("BertForMaskedLM", "bert", folder)
    wordpiece().save(str(folder / TOKENIZER))
    return folder


@pytest.fixture(scope="module")
def pretraining(tmp_path_factory) -> Path:
    """A file of the whole of BERT's pretraining."""
    folder = tmp_path_factory.mktemp("bert") / "pretraining"
    save_with_transformers("BertForPreTraining", "bert", folder)
    return folder


@pytest.fixture
def fields(pretraining) -> dict:
    return fields_in(pretraining) | {"architectures": ["BertForMaskedLM"]}


@pytest.fixture
def tensors(pretraining) -> Tensors:
    """Its masked-language model alone."""
    every = tensors_in(pretraining)
    return {name: array for name, array in every.items() if "seq_relationship" not in name and "pooler" not in name}
