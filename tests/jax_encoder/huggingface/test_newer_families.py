"""ESM: what stands in its files besides weights; what it and other newer families refuse."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from jax_encoder import huggingface
from jax_encoder.huggingface import Checkpoint
from jax_encoder.model import Parts, shapes_of
from parity.judge.check import check
from parity.judge.verdict import Verdict
from parity.published.subject import subject
from tests.jax_encoder.huggingface.helpers import (
    SMALL,
    assert_saved_as_it_was,
    config_only,
    fields_in,
    refusal,
    save_with_transformers,
    tensors_in,
    write,
)
from tests.jax_encoder.huggingface.published_configs import PUBLISHED

ESM2, ESM1B = PUBLISHED["facebook/esm2_t6_8M_UR50D"], PUBLISHED["facebook/esm1b_t33_650M_UR50S"]
TODAY = "encoder.layer.*.attention.self.rotary_embeddings.inv_freq"
FORMULA = (1.0, 0.01)


def esm(folder: Any, frequencies: Any, *names: str) -> Any:
    """An EsmModel's folder that holds these frequencies, by these names."""
    save_with_transformers("EsmModel", "esm", folder / "written")
    tensors = tensors_in(folder / "written")
    assert tensors.pop(TODAY).shape == (2,)
    return write(
        folder / "changed", fields_in(folder / "written"), tensors | dict(zip(names, frequencies, strict=True))
    )


def test_frequencies_that_were_rounded_in_training_are_those_of_the_encoder(tmp_path):
    rounded = np.array(FORMULA, np.float16).astype(np.float32)
    layers = [f"encoder.layer.{layer}.attention.self.rotary_embeddings.inv_freq" for layer in range(2)]
    folder = esm(tmp_path, (rounded, rounded), *layers)
    loaded = assert_saved_as_it_was(folder, tmp_path)
    assert loaded.config.rope_frequencies == (1.0, 0.010002136230468750)
    report = check(subject(model=str(folder)), cases=["ragged"])
    assert report.verdict is Verdict.PASS
    assert max(one.error for run in report.runs for one in run.comparisons) < 1e-11


def test_frequencies_that_differ_between_layers_or_in_number_are_refused(tmp_path):
    one, other = (np.array((1.0, last), np.float32) for last in (0.01, 0.02))
    names = ("encoder.layer.0.x.rotary_embeddings.inv_freq", "encoder.layer.1.x.rotary_embeddings.inv_freq")
    said = refusal(esm(tmp_path, (one, other), *names))
    assert said == (
        "rotary_embeddings.inv_freq differs between layers: transformers would take the first layer's for all"
    )
    said = refusal(esm(tmp_path, (one[:1],), "rotary_embeddings.inv_freq"))
    assert said.startswith("rotary_embeddings.inv_freq is not of this encoder: rope_frequencies need one rope_theta")


def test_a_new_file_has_the_frequencies_of_its_base_or_its_own(tmp_path):
    save_with_transformers("EsmModel", "esm", tmp_path / "old")
    loaded = huggingface.load(tmp_path / "old")
    parts = Parts(head=False, pooler=True, classifier=None)
    for own, expected in (((), FORMULA), ((1.0, 0.0125), (1.0, 0.0125))):
        config = dataclasses.replace(loaded.config, rope_frequencies=own)
        params = {name: np.ones(shape, np.float32) for name, shape in shapes_of(config, parts).items()}
        made = Checkpoint(config, parts, params, "esm", "EsmModel", {"pad_token_id": 1}, None)
        huggingface.save(made, tmp_path / "new")
        assert tuple(tensors_in(tmp_path / "new")["esm.rotary_embeddings.inv_freq"]) == pytest.approx(expected)
        assert fields_in(tmp_path / "new")["mask_token_id"] == SMALL["esm"]["mask_token_id"]
        again = huggingface.load(tmp_path / "new").config
        assert again.rope_frequencies == pytest.approx(expected)
        assert dataclasses.replace(again, rope_frequencies=own) == config


def test_published_files_hold_a_table_of_positions_that_nothing_reads(tmp_path):
    save_with_transformers("EsmForMaskedLM", "esm", tmp_path / "written")
    tensors = tensors_in(tmp_path / "written")
    left_over = "esm.embeddings.position_embeddings.weight"
    more = {left_over: np.ones((17, 12), np.float32)}
    folder = write(tmp_path / "more", fields_in(tmp_path / "written"), tensors | more)
    assert_saved_as_it_was(folder, tmp_path)
    absolute = fields_in(tmp_path / "written") | {"position_embedding_type": "absolute"}
    assert huggingface.load(write(tmp_path / "read", absolute, tensors | more)).config.max_len == 15
    assert f"{left_over} is missing" in refusal(write(tmp_path / "lost", absolute, tensors))


@pytest.mark.parametrize(
    ("fields", "changes", "said"),
    [
        (ESM2, {"is_folding_model": True}, "is_folding_model=True: it would fold proteins"),
        (ESM2, {"hidden_act": "relu"}, "hidden_act='relu': transformers itself computes gelu"),
        (ESM2, {"mask_token_id": None}, "mask_token_id is left out: token_dropout drops the words of that token"),
        (ESM2, {"mask_token_id": 33}, "dropped_token must be None or a token below vocab_size, 33, got 33"),
        (ESM2, {"position_embedding_type": "relative_key"}, "only 'absolute', 'rotary' can be computed here"),
        (ESM2, {"rope_parameters": {"rope_type": "yarn"}}, "rope_parameters={'rope_type': 'yarn'}: not known here"),
        (ESM1B, {"pad_token_id": None}, "pad_token_id is left out: positions are counted from the row after it"),
        (PUBLISHED["facebook/xlm-roberta-xl"], {"type_vocab_size": 0}, "type_vocab_size=0: must be at least 1"),
        ({"model_type": "esm"}, {}, "vocab_size is left out: transformers has no default for it"),
        ({"model_type": "nomic_bert"}, {"tie_word_embeddings": False}, "the decoder would have words of its own"),
        ({"model_type": "nomic_bert"}, {"num_experts": 8}, "num_experts=8: not known here"),
        ({"model_type": "gte"}, {"rope_parameters": {"rope_type": "yarn"}}, "only rope_type 'default' can be computed"),
        (PUBLISHED["chandar-lab/NeoBERT"], {"dim_head": 32}, "heads would be of another width than the authors'"),
        (PUBLISHED["chandar-lab/NeoBERT"], {"rope": False}, "rope=False: not known here, may change the function"),
        ({"model_type": "gte"}, {"logn_attention_scale": True}, "logn_attention_scale=True: not known here"),
    ],
)
def test_what_these_families_cannot_be_is_told(fields, changes, said, tmp_path):
    assert said in refusal(config_only(tmp_path, fields, **changes))
