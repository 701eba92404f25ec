"""Families whose positions are distances: what their files hold besides, and what is refused."""

from typing import Any

import numpy as np
import pytest

from tests.jax_encoder.huggingface.helpers import (
    assert_saved_as_it_was,
    config_only,
    fields_in,
    refusal,
    save_with_transformers,
    tensors_in,
    write,
)
from tests.jax_encoder.huggingface.published_configs import PUBLISHED

DEBERTA, T5, JINA = (
    PUBLISHED[name]
    for name in (
        "microsoft/deberta-v3-base",
        "sentence-transformers/sentence-t5-base",
        "jinaai/jina-embeddings-v2-base-en",
    )
)


def test_a_published_deberta_brings_what_it_was_trained_with(tmp_path):
    save_with_transformers("DebertaV2Model", "deberta-v2", tmp_path / "published")
    fields = fields_in(tmp_path / "published")
    tensors = {f"deberta.{name}": one for name, one in tensors_in(tmp_path / "published").items()}
    left_over = ("deberta.embeddings.position_embeddings.weight", "mask_predictions.classifier.bias")
    more = {name: np.ones((3,), np.float32) for name in (*left_over, "lm_predictions.lm_head.dense.weight")}
    loaded = assert_saved_as_it_was(write(tmp_path / "whole", fields, tensors | more), tmp_path)
    assert sum(array.size for array in loaded.params.values()) == sum(array.size for array in tensors.values())
    write(tmp_path / "biased", fields | {"position_biased_input": True}, tensors | more)
    assert "deberta.embeddings.position_embeddings.weight has shape [3], which" in refusal(tmp_path / "biased")


def test_a_jina_file_says_that_it_is_of_a_language_model_and_may_hold_none(tmp_path):
    save_with_transformers("JinaBertModel", "bert", tmp_path / "published")
    fields = fields_in(tmp_path / "published") | {"architectures": ["JinaBertForMaskedLM"]}
    folder = write(tmp_path / "encoder", fields, tensors_in(tmp_path / "published"))
    assert assert_saved_as_it_was(folder, tmp_path).parts == (False, True, None)


@pytest.mark.parametrize(
    ("fields", "changes", "said"),
    [
        (DEBERTA, {"conv_kernel_size": 3}, "conv_kernel_size=3: there would be a convolution beside the first layer"),
        (DEBERTA, {"legacy": False}, "legacy=False: the masked-language-model head would have other tensors"),
        (DEBERTA, {"embedding_size": 64}, "embedding_size=64: the embeddings would be projected before their norm"),
        (DEBERTA, {"pos_att_type": "c2p"}, "pos_att_type='c2p': only p2c|c2p can be computed here"),
        (DEBERTA, {"pos_att_type": ["p2c", "c2p", "p2p"]}, "only p2c|c2p can be computed here"),
        (DEBERTA, {"position_buckets": -1}, "position_buckets=-1: must be even and at least 4"),
        (DEBERTA, {"position_buckets": 7}, "position_buckets=7: must be even and at least 4"),
        (
            DEBERTA,
            {"max_relative_positions": 100},
            "relative_max_distance above a quarter of it by 2 or more, got 512 and",
        ),
        (DEBERTA, {"relative_attention": False}, "pos_att_type='p2c|c2p': scores would be scaled as a sum of several"),
        (
            DEBERTA,
            {"pooler_hidden_size": 12, "architectures": ["DebertaV2ForSequenceClassification"]},
            "pooler_hidden_size=12: the classifier would read another width than hidden_size=768",
        ),
        (T5, {"architectures": ["T5ForConditionalGeneration"]}, "only one of T5EncoderModel, T5ForTokenClassification"),
        (T5, {"dense_act_fn": "silu"}, "dense_act_fn='silu': it would not be that of feed_forward_proj='relu'"),
        (T5, {"feed_forward_proj": "gated-swiglu"}, "feed_forward_proj='gated-swiglu': only 'relu', 'gated-gelu', "),
        (T5, {"relative_attention_num_buckets": 30}, "relative_buckets must be a multiple of 4"),
        (
            JINA,
            {"feed_forward_type": "original"},
            "feed_forward_type='original': only 'geglu', 'reglu' can be computed",
        ),
        (
            JINA,
            {"position_embedding_type": "absolute"},
            "position_embedding_type='absolute': positions would be embedded",
        ),
        (JINA, {"architectures": ["BertModel"]}, "position_embedding_type='alibi': positions would be relative"),
    ],
)
def test_what_would_be_computed_otherwise_is_refused(fields, changes, said, tmp_path):
    assert said in refusal(config_only(tmp_path, fields, **changes))


def test_positions_that_jina_leaves_unsaid_are_refused(tmp_path):
    left_out: dict[str, Any] = {name: value for name, value in JINA.items() if name != "position_embedding_type"}
    assert "position_embedding_type is left out: must be 'alibi'" in refusal(config_only(tmp_path, left_out))
