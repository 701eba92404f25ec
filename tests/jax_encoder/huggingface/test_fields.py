"""What a config file asks for and this encoder does not compute is refused, by name and all at once."""

import math
import tracemalloc

import pytest

from jax_encoder.errors import InputError
from jax_encoder.huggingface.fields import Fields
from tests.jax_encoder.huggingface.helpers import CONFIG, NO_WEIGHTS, config_only, refusal
from tests.jax_encoder.huggingface.published_configs import PUBLISHED


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
    values = next(values for full, values in PUBLISHED.items() if full.rpartition("/")[2].startswith(name))
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
        (b'{"model_type": ["bert"]}', "neobert, got ['bert']"),
        (b'{"model_type": "gpt2"}', "neobert, got 'gpt2'"),
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
