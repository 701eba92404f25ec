"""Config files: those of well-known checkpoints are understood, and what is not understood is refused."""

import json
import math
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from jax_encoder.classifier_config import ClassifierConfig
from jax_encoder.config import EncoderConfig
from jax_encoder.errors import InputError
from jax_encoder.huggingface import FAMILIES
from jax_encoder.huggingface.checkpoint import differences
from jax_encoder.huggingface.family import Family
from jax_encoder.huggingface.fields import Fields
from tests.jax_encoder.huggingface.helpers import CLASSES, CONFIG, SMALL, refusal

# config.json as published, in the order bert, roberta, ...; what only names token ids or versions is cut where it is
# of no other kind than a neighbour's.
_BASE = {
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
}
_BERT = {
    **_BASE,
    "architectures": ["BertForMaskedLM"],
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "model_type": "bert",
    "pad_token_id": 0,
    "position_embedding_type": "absolute",
    "transformers_version": "4.6.0.dev0",
    "type_vocab_size": 2,
    "use_cache": True,
}
_ROBERTA = {
    **_BASE,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 514,
    "pad_token_id": 1,
    "type_vocab_size": 1,
}
_ELECTRA = {
    **_BASE,
    "embedding_size": 128,
    "hidden_size": 256,
    "intermediate_size": 1024,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "model_type": "electra",
    "num_attention_heads": 4,
    "type_vocab_size": 2,
    "vocab_size": 30522,
}
PUBLISHED: dict[str, dict[str, Any]] = {
    "bert-base-uncased": {**_BERT, "gradient_checkpointing": False, "vocab_size": 30522},
    "bert-base-multilingual-cased": {
        **_BERT,
        "directionality": "bidi",
        "pooler_fc_size": 768,
        "pooler_num_attention_heads": 12,
        "pooler_num_fc_layers": 3,
        "pooler_size_per_head": 128,
        "pooler_type": "first_token_transform",
        "vocab_size": 119547,
    },
    "roberta-base": {
        **_ROBERTA,
        "architectures": ["RobertaForMaskedLM"],
        "model_type": "roberta",
        "vocab_size": 50265,
    },
    "xlm-roberta-base": {
        **_ROBERTA,
        "architectures": ["XLMRobertaForMaskedLM"],
        "model_type": "xlm-roberta",
        "output_past": True,
        "position_embedding_type": "absolute",
        "transformers_version": "4.17.0.dev0",
        "use_cache": True,
        "vocab_size": 250002,
    },
    "camembert-base": {
        **_ROBERTA,
        "architectures": ["CamembertForMaskedLM"],
        "bos_token_id": 5,
        "eos_token_id": 6,
        "model_type": "camembert",
        "output_past": True,
        "vocab_size": 32005,
    },
    "distilbert-base-uncased": {
        "activation": "gelu",
        "architectures": ["DistilBertForMaskedLM"],
        "attention_dropout": 0.1,
        "dim": 768,
        "dropout": 0.1,
        "hidden_dim": 3072,
        "initializer_range": 0.02,
        "max_position_embeddings": 512,
        "model_type": "distilbert",
        "n_heads": 12,
        "n_layers": 6,
        "pad_token_id": 0,
        "qa_dropout": 0.1,
        "seq_classif_dropout": 0.2,
        "sinusoidal_pos_embds": False,
        "tie_weights_": True,
        "transformers_version": "4.10.0.dev0",
        "vocab_size": 30522,
    },
    "google/electra-small-discriminator": {**_ELECTRA, "architectures": ["ElectraForPreTraining"]},
    "google/electra-small-generator": {
        **_ELECTRA,
        "architectures": ["ElectraForMaskedLM"],
        "generator_size": "0.25",
    },
    "albert-base-v2": {
        **_BASE,
        "architectures": ["AlbertForMaskedLM"],
        "attention_probs_dropout_prob": 0,
        "bos_token_id": 2,
        "classifier_dropout_prob": 0.1,
        "down_scale_factor": 1,
        "embedding_size": 128,
        "eos_token_id": 3,
        "gap_size": 0,
        "hidden_act": "gelu_new",
        "hidden_dropout_prob": 0,
        "inner_group_num": 1,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": 512,
        "model_type": "albert",
        "net_structure_type": 0,
        "num_hidden_groups": 1,
        "num_memory_blocks": 0,
        "pad_token_id": 0,
        "type_vocab_size": 2,
        "vocab_size": 30000,
    },
    "microsoft/mpnet-base": {
        **_BASE,
        "architectures": ["MPNetForMaskedLM"],
        "bos_token_id": 0,
        "eos_token_id": 2,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": 514,
        "model_type": "mpnet",
        "pad_token_id": 1,
        "relative_attention_num_buckets": 32,
        "vocab_size": 30527,
    },
    "answerdotai/ModernBERT-base": {
        "architectures": ["ModernBertForMaskedLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": 50281,
        "classifier_activation": "gelu",
        "classifier_bias": False,
        "classifier_dropout": 0.0,
        "classifier_pooling": "mean",
        "cls_token_id": 50281,
        "decoder_bias": True,
        "deterministic_flash_attn": False,
        "embedding_dropout": 0.0,
        "eos_token_id": 50282,
        "global_attn_every_n_layers": 3,
        "global_rope_theta": 160000.0,
        "gradient_checkpointing": False,
        "hidden_activation": "gelu",
        "hidden_size": 768,
        "initializer_cutoff_factor": 2.0,
        "initializer_range": 0.02,
        "intermediate_size": 1152,
        "layer_norm_eps": 1e-05,
        "local_attention": 128,
        "local_rope_theta": 10000.0,
        "max_position_embeddings": 8192,
        "mlp_bias": False,
        "mlp_dropout": 0.0,
        "model_type": "modernbert",
        "norm_bias": False,
        "norm_eps": 1e-05,
        "num_attention_heads": 12,
        "num_hidden_layers": 22,
        "pad_token_id": 50283,
        "position_embedding_type": "absolute",
        "sep_token_id": 50282,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
        "transformers_version": "4.47.0.dev0",
        "vocab_size": 50368,
    },
    "EuroBERT/EuroBERT-210m": {
        "architectures": ["EuroBertForMaskedLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "auto_map": {
            "AutoConfig": "configuration_eurobert.EuroBertConfig",
            "AutoModel": "modeling_eurobert.EuroBertModel",
            "AutoModelForMaskedLM": "modeling_eurobert.EuroBertForMaskedLM",
            "AutoModelForSequenceClassification": "modeling_eurobert.EuroBertForSequenceClassification",
        },
        "bos_token": "<|begin_of_text|>",
        "bos_token_id": 128000,
        "clf_pooling": "late",
        "eos_token": "<|end_of_text|>",
        "eos_token_id": 128001,
        "head_dim": 64,
        "hidden_act": "silu",
        "hidden_dropout": 0.0,
        "hidden_size": 768,
        "initializer_range": 0.02,
        "intermediate_size": 3072,
        "mask_token": "<|mask|>",
        "mask_token_id": 128002,
        "max_position_embeddings": 8192,
        "mlp_bias": False,
        "model_type": "eurobert",
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
        "num_key_value_heads": 12,
        "pad_token": "<|end_of_text|>",
        "pad_token_id": 128001,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "rope_theta": 250000,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.40.0.dev0",
        "use_cache": False,
        "vocab_size": 128256,
    },
}
_TWELVE = {"embed_dim": 768, "num_layers": 12, "num_heads": 12, "head_dim": 64, "mlp_dim": 3072, "max_len": 512}
_LIKE_BERT = {
    **_TWELVE,
    "num_token_types": 2,
    "position_offset": 0,
    "norm_order": "post",
    "norm_eps": 1e-12,
    "activation": "gelu_exact",
    "mlm_activation": "gelu_exact",
    "mlm_tied": True,
    "residual_dropout": 0.1,
}
_LIKE_ROBERTA = {**_LIKE_BERT, "num_token_types": 1, "position_offset": 2, "norm_eps": 1e-5}
_LIKE_ELECTRA = {
    **_LIKE_BERT,
    "vocab_size": 30522,
    "embed_dim": 256,
    "table_dim": 128,
    "num_heads": 4,
    "mlp_dim": 1024,
}
FACTS: dict[str, dict[str, Any]] = {
    "bert-base-uncased": {**_LIKE_BERT, "vocab_size": 30522},
    "bert-base-multilingual-cased": {**_LIKE_BERT, "vocab_size": 119547},
    "roberta-base": {**_LIKE_ROBERTA, "vocab_size": 50265},
    "xlm-roberta-base": {**_LIKE_ROBERTA, "vocab_size": 250002},
    "camembert-base": {**_LIKE_ROBERTA, "vocab_size": 32005},
    "distilbert-base-uncased": {**_LIKE_BERT, "vocab_size": 30522, "num_layers": 6, "num_token_types": 0},
    "google/electra-small-discriminator": _LIKE_ELECTRA,
    "google/electra-small-generator": _LIKE_ELECTRA,
    "albert-base-v2": {
        **_LIKE_BERT,
        "vocab_size": 30000,
        "table_dim": 128,
        "layer_groups": (0,) * 12,
        "activation": "gelu_tanh",
        "mlm_activation": "gelu_tanh",
        "residual_dropout": 0.0,
        "attention_dropout": 0.0,
    },
    "microsoft/mpnet-base": {
        **_LIKE_ROBERTA,
        "vocab_size": 30527,
        "num_token_types": 0,
        "relative_buckets": 32,
        "relative_max_distance": 128,
    },
    "answerdotai/ModernBERT-base": {
        "vocab_size": 50368,
        "max_len": 8192,
        "embed_dim": 768,
        "mlp_dim": 1152,
        "num_layers": 22,
        "windows": tuple(64 if layer % 3 else None for layer in range(22)),
        "rope_thetas": tuple(10_000.0 if layer % 3 else 160_000.0 for layer in range(22)),
        "norm_order": "pre",
        "norm_bias": False,
        "first_attention_norm": False,
        "mlm_transform_bias": False,
        "mlm_decoder_bias": True,
        "mlm_tied": True,
    },
    "EuroBERT/EuroBERT-210m": {
        **_TWELVE,
        "vocab_size": 128256,
        "max_len": 8192,
        "norm_kind": "rms",
        "activation": "silu",
        "mlm_activation": None,
        "mlm_decoder_bias": False,
        "mlm_tied": False,
        "rope_thetas": (250_000.0,) * 12,
        "windows": (None,) * 12,
    },
}


def family_of(values: dict[str, Any]) -> Family:
    return next(family for family in FAMILIES.values() if values["model_type"] in family.model_types)


def read(values: dict[str, Any]) -> EncoderConfig:
    fields = Fields(values, "config.json")
    config = family_of(values).read(fields)
    fields.finish()
    return config


def config_only(folder: Path, values: dict[str, Any], **changed: Any) -> Path:
    """A folder without weights: what is wrong with its config is told before that."""
    (folder / CONFIG).write_text(json.dumps(values | changed))
    return folder


NO_WEIGHTS = "has no weights"


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_config_of_a_well_known_checkpoint_is_understood(name, tmp_path):
    config = read(PUBLISHED[name])
    assert {field: getattr(config, field) for field in FACTS[name]} == FACTS[name]
    assert differences(config, family_of(PUBLISHED[name])) == []  # and can be written
    assert NO_WEIGHTS in refusal(config_only(tmp_path, PUBLISHED[name]))  # its class is known, too


def test_discriminators_and_generators_have_their_own_parts():
    def classes(name: str, **changed: Any) -> ClassifierConfig | None:
        values = PUBLISHED[name] | changed
        head = family_of(values).heads[values["architectures"][0].removeprefix(family_of(values).classes[0])]
        return None if head.classes is None else head.classes(Fields(values, "x"), head.num_classes or 5)

    assert classes("google/electra-small-generator") is None
    assert classes("google/electra-small-discriminator") == ClassifierConfig(
        num_classes=1, pooling=None, activation="gelu_exact", transform_bias=True, norm=False
    )
    modern = classes("answerdotai/ModernBERT-base", architectures=["ModernBertForSequenceClassification"])
    assert modern == ClassifierConfig(
        num_classes=5, pooling="mean", activation="gelu_exact", transform_bias=False, norm=True
    )


@pytest.mark.parametrize("every_field", [False, True])
@pytest.mark.parametrize("model_type", SMALL)
def test_a_config_that_transformers_writes_today_is_understood(model_type, every_field):
    from transformers import AutoConfig

    for fields in ({}, SMALL[model_type]):
        written = AutoConfig.for_model(model_type, **fields).to_json_string(use_diff=not every_field)
        config = read(json.loads(written))
        assert fields.get("vocab_size", config.vocab_size) == config.vocab_size
        # Left-out fields have transformers' defaults.
        assert read({"model_type": model_type, **fields}) == config


def test_the_older_form_of_rotary_bases_says_the_same_as_the_newer():
    values = PUBLISHED["answerdotai/ModernBERT-base"] | {"global_rope_theta": 5e4, "local_rope_theta": 3e3}
    newer = {name: value for name, value in values.items() if "rope" not in name and "every" not in name}
    kinds = ["sliding_attention" if layer % 3 else "full_attention" for layer in range(22)]
    ropes = {"full_attention": {"rope_theta": 5e4}, "sliding_attention": {"rope_type": "default", "rope_theta": 3e3}}
    assert read(newer | {"layer_types": kinds, "rope_parameters": ropes}) == read(values)
    assert read(newer) != read(values)
    euro = PUBLISHED["EuroBERT/EuroBERT-210m"]
    assert read(euro | {"rope_theta": 1.0, "rope_parameters": {"rope_theta": 250_000.0}}) == read(euro)


def test_everything_that_is_wrong_is_told_at_once(tmp_path):
    changed = {
        "architectures": ["BertForMultipleChoice"],
        "hidden_size": "768",
        "hidden_act": "gelu_fast",
        "position_embedding_type": "relative_key",
        "is_decoder": True,
        "num_hidden_layers": None,
        "alibi_starting_size": 512,
        "a": [1],
    }
    assert refusal(config_only(tmp_path, PUBLISHED["bert-base-uncased"], **changed)) == (
        f"{tmp_path}/config.json asks for what this encoder does not compute:\n"
        "  architectures=['BertForMultipleChoice']: only one of BertModel, BertForMaskedLM, BertForPreTraining, "
        "BertForNextSentencePrediction, BertForSequenceClassification, BertForTokenClassification, "
        "BertForQuestionAnswering can be computed here\n"
        "  hidden_size='768': must be a whole number from 0 to 2147483647\n"
        "  num_hidden_layers=None: must be a whole number from 0 to 1024\n"
        "  hidden_act='gelu_fast': only 'gelu', 'gelu_new', 'gelu_pytorch_tanh', 'relu', 'silu', 'swish' can be "
        "computed here\n"
        "  position_embedding_type='relative_key': positions would be relative, in a form of their own\n"
        "  is_decoder=True: tokens would not see what follows them\n"
        "  a=[1]: not known here, may change the function\n"
        "  alibi_starting_size=512: not known here, may change the function\n"
        "remove a field only if you know that it changes nothing"
    )


@pytest.mark.parametrize(
    ("name", "changed", "said"),
    [
        ("bert", {"hidden_size": -768}, "hidden_size=-768: must be a whole number"),
        ("bert", {"hidden_size": 768.0}, "hidden_size=768.0: must be a whole number"),
        ("bert", {"hidden_size": True}, "hidden_size=True: must be a whole number"),
        ("bert", {"hidden_size": 770}, "num_attention_heads=12: must divide hidden_size=770"),
        ("bert", {"num_attention_heads": 0}, "num_attention_heads=0: must divide hidden_size=768"),
        ("bert", {"vocab_size": 0}, "vocab_size must be a whole number of at least 1, got 0"),
        ("bert", {"layer_norm_eps": math.nan}, "layer_norm_eps=nan: must be a number"),
        ("bert", {"layer_norm_eps": math.inf}, "layer_norm_eps=inf: must be a number"),
        ("bert", {"layer_norm_eps": 0}, "norm_eps must be above 0, got 0.0"),
        ("bert", {"hidden_dropout_prob": 1}, "embedding_dropout must be at least 0 and below 1, got 1.0"),
        ("bert", {"initializer_range": "x"}, "initializer_range='x': must be a number"),
        ("bert", {"type_vocab_size": 0}, "type_vocab_size=0: must be at least 1"),
        ("bert", {"tie_word_embeddings": 1}, "tie_word_embeddings=1: only False, True can be computed here"),
        ("bert", {"auto_map": {"AutoModel": "x.JinaBertModel"}}, "the model would be code of its own"),
        ("bert", {"quantization_config": {"bits": 4}}, "weights would be quantised"),
        ("bert", {"x": "y" * 10_000}, "yyy...yyy"),
        ("roberta", {"pad_token_id": None}, "pad_token_id=None: must be a whole number"),
        ("roberta", {"max_position_embeddings": 2}, "max_len must be a whole number of at least 1, got 0"),
        ("mpnet", {"relative_attention_num_buckets": 64}, "transformers itself computes 32 ranges"),
        ("albert", {"num_hidden_groups": 13}, "num_hidden_groups=13, inner_group_num=1: of 12 layers"),
        ("albert", {"inner_group_num": 17}, "inner_group_num=17: must be a whole number from 0 to 16"),
        ("bert", {"num_hidden_layers": 1025}, "num_hidden_layers=1025: must be a whole number from 0 to 1024"),
        ("distilbert", {"n_layers": 1025}, "n_layers=1025: must be a whole number from 0 to 1024"),
        ("distilbert", {"n_heads": 5}, "n_heads=5: must divide dim=768"),
        ("ModernBERT", {"num_attention_heads": 5}, "num_attention_heads=5: must divide hidden_size=768"),
        ("ModernBERT", {"global_attn_every_n_layers": 0}, "global_attn_every_n_layers=0: must be at least 1"),
        ("ModernBERT", {"layer_types": ["full_attention"]}, "layer_types must be 22 of full_attention and sliding"),
        ("ModernBERT", {"layer_types": 22}, "layer_types must be 22 of"),
        ("ModernBERT", {"layer_types": [[]] * 22}, "layer_types must be 22 of"),
        ("ModernBERT", {"rope_parameters": {"rope_theta": 1.0}}, "rope_parameters of rope_theta: must be of full"),
        ("ModernBERT", {"rope_parameters": {"full_attention": [1]}}, "only rope_type 'default' can be computed"),
        ("ModernBERT", {"mlp_dropout": 0.1}, "dropout would act where this encoder has none"),
        ("ModernBERT", {"global_rope_theta": 0}, "rope_thetas must be above 0, got 0.0"),
        ("EuroBERT", {"num_key_value_heads": 5}, "num_attention_heads=12: must divide hidden_size=768 and be a mult"),
        ("EuroBERT", {"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}, "only rope_type 'default'"),
        ("EuroBERT", {"rope_parameters": "default"}, "rope_parameters='default': must be a JSON object"),
        ("EuroBERT", {"rope_scaling": {"type": "linear"}}, "positions would be stretched"),
        ("EuroBERT", {"head_dim": 63}, "head_dim must be even, got 63"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_name(name, changed, said, tmp_path):
    values = next(values for full, values in PUBLISHED.items() if name in full)
    assert said in refusal(config_only(tmp_path, values, **changed))


def test_the_authors_own_pooling_is_refused_where_it_is_not_transformers(tmp_path):
    values = PUBLISHED["EuroBERT/EuroBERT-210m"] | {"architectures": ["EuroBertForSequenceClassification"]}
    assert NO_WEIGHTS in refusal(config_only(tmp_path, values))
    said = refusal(config_only(tmp_path, values, clf_pooling="mean"))
    assert "clf_pooling='mean': its authors' code would pool so" in said
    assert NO_WEIGHTS in refusal(config_only(tmp_path, values, clf_pooling="mean", classifier_pooling="mean"))


WRONG = (None, "12", -1, 10**12, 10**400, 1.5, math.nan, True, [[]], {"a": None})


@pytest.mark.parametrize("name", PUBLISHED)
def test_no_value_of_any_field_raises_anything_else(name, tmp_path):
    values = PUBLISHED[name]
    extra = ("id2label", "num_labels", "rope_parameters", "layer_types", "classifier_pooling", "auto_map", "is_decoder")
    refused = {None: 0}
    for field in (*values, *extra):
        for wrong in WRONG:
            said = refusal(config_only(tmp_path, values, **{field: wrong}))
            if NO_WEIGHTS not in said:
                refused[field] = refused.get(field, 0) + 1
    sizes = {"vocab_size", "hidden_size", "dim", "num_hidden_layers", "n_layers", "intermediate_size"} & values.keys()
    assert all(refused[size] == len(WRONG) for size in sizes), refused


@pytest.mark.parametrize("field", ["num_hidden_layers", "vocab_size", "hidden_size", "max_position_embeddings"])
def test_absurd_sizes_cost_no_memory(field, tmp_path):
    for wrong in (10**12, 2**31, 10**400):
        config_only(tmp_path, PUBLISHED["answerdotai/ModernBERT-base"], **{field: wrong})
        tracemalloc.start()
        assert f"{field}=1000000000000" in refusal(tmp_path) or wrong != 10**12
        assert tracemalloc.get_traced_memory()[1] < 2**24
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "cannot be read as JSON: Expecting value"),
        (b"\xff", "cannot be read as JSON: 'utf-8' codec can't decode"),
        (b"[1]", "must hold a JSON object, got list"),
        (b'{"a":' * 100_000, "cannot be read as JSON: maximum recursion depth exceeded"),
        (b'{"a": ' + b"1" * 5000 + b"}", "cannot be read as JSON: Exceeds the limit"),
        (b"{}", "model_type must be one of bert, roberta, xlm-roberta, camembert, distilbert, electra, albert, mpnet"),
        (b'{"model_type": ["bert"]}', "eurobert, got ['bert']"),
        (b'{"model_type": "gpt2"}', "eurobert, got 'gpt2'"),
        (None, "config.json is missing: a checkpoint's folder has it"),
    ],
)
def test_a_file_that_is_no_config_is_refused(text, said, tmp_path):
    if text is not None:
        (tmp_path / CONFIG).write_bytes(text)
    assert said in refusal(tmp_path)


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (None, NO_WEIGHTS),
        ([], NO_WEIGHTS),
        (["BertModel"], NO_WEIGHTS),
        (["BertLMHeadModel"], "architectures=['BertLMHeadModel']: only one of BertModel, BertForMaskedLM"),
        (["RobertaForMaskedLM"], "architectures=['RobertaForMaskedLM']: only one of"),
        (["BertModel", "BertForMaskedLM"], "architectures=['BertModel', 'BertForMaskedLM']: only one of"),
        ("BertModel", "architectures='BertModel': only one of"),
        ([["BertModel"]], "architectures=[['BertModel']]: only one of"),
        (0, "architectures=0: only one of"),
    ],
)
def test_the_class_must_be_one_that_we_have(named, said, tmp_path):
    assert said in refusal(config_only(tmp_path, PUBLISHED["bert-base-uncased"], architectures=named))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({}, NO_WEIGHTS),
        ({"id2label": {"0": "no", "1": "yes", "2": "perhaps"}}, NO_WEIGHTS),
        ({"id2label": {"0": "no"}, "num_labels": 1, "_num_labels": 1}, NO_WEIGHTS),
        ({"id2label": None, "num_labels": 3}, NO_WEIGHTS),
        ({"id2label": {"0": "no"}, "num_labels": 2}, "num_labels=2, but id2label names 1"),
        ({"id2label": ["no", "yes"]}, "id2label=['no', 'yes']: must be a JSON object"),
        ({"num_labels": 0}, "num_classes must be a whole number of at least 1, got 0"),
        ({"num_labels": "2"}, "num_labels='2': must be a whole number"),
        ({"num_labels": 10**12}, "num_labels=1000000000000: must be a whole number"),
    ],
)
def test_the_number_of_classes_is_told_or_two(labels, said, tmp_path):
    values = PUBLISHED["bert-base-uncased"] | {"architectures": ["BertForSequenceClassification"]}
    assert said in refusal(config_only(tmp_path, values, **labels))


def test_every_class_has_a_reading():
    assert len(CLASSES) > 50
    assert {model_type for model_type, _ in CLASSES} == SMALL.keys()


def test_who_asks_gets_a_value_to_compute_with_whatever_stands_there():
    fields = Fields({"n": "x", "r": None, "c": [], "t": 3}, "x")
    assert (fields.number("n", 7), fields.number("r", 0.5), fields.choose("c", "a", {"a": 1, "b": 2})) == (7, 0.5, 1)
    assert (fields.table("t"), fields.number_or_null("r", 3), fields.number("left out", 0.25)) == ({}, 3, 0.25)
    assert fields.number("n", 7) == 7
    assert fields.problems() == [
        "n='x': must be a whole number from 0 to 2147483647",
        "r=None: must be a number of at least 0",
        "c=[]: only 'a', 'b' can be computed here",
        "t=3: must be a JSON object",
    ]
    with pytest.raises(InputError, match="x asks for what this encoder does not compute"):
        fields.finish()
