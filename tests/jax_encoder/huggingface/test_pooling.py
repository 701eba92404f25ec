"""What sentence-transformers' files say of a checkpoint is read as it is meant, or refused."""

import pytest

from jax_encoder.errors import InputError
from jax_encoder.huggingface.pooling import Pooling, SentenceForm, read_sentence_form
from tests.jax_encoder.helpers import write_json, write_modules


@pytest.mark.parametrize(("named", "modes"), [("lasttoken", ("lasttoken",)), (["max", "cls"], ("max", "cls"))])
def test_the_newer_form_of_sentence_transformers(tmp_path, named, modes):
    write_modules(tmp_path, "Transformer", "Pooling", "Normalize")
    write_json(tmp_path / "1_Pooling/config.json", {"embedding_dimension": 24, "pooling_mode": named})
    write_json(tmp_path / "2_Normalize/config.json", {"module_input_name": "sentence_embedding"})
    write_json(tmp_path / "sentence_bert_config.json", {"transformer_task": "feature-extraction"})
    write_json(tmp_path / "tokenizer_config.json", {"model_max_length": 1e30})
    sentences = {"prompts": {"query": "ask: ", "document": ""}, "default_prompt_name": "query"}
    write_json(tmp_path / "config_sentence_transformers.json", sentences | {"model_type": "SentenceTransformer"})
    form = read_sentence_form(tmp_path)
    assert form == SentenceForm(tmp_path, Pooling(modes, True), int(1e30), False, lower_case=False, prompt="ask: ")


def test_a_file_that_turns_no_mode_on_means_the_mean(tmp_path):
    write_modules(tmp_path, "Transformer", "Pooling")
    write_json(tmp_path / "1_Pooling/config.json", {"word_embedding_dimension": 24, "pooling_mode_cls_token": False})
    assert read_sentence_form(tmp_path).pooling == Pooling(("mean",), False)


@pytest.mark.parametrize(
    ("kinds", "files", "message"),
    [
        (
            ("Transformer", "Pooling", "Dense", "Normalize"),
            {},
            "{}/modules.json: the module Dense (2_Dense) is not computed here; expected Transformer, Pooling and, if "
            "vectors are normalised, Normalize: use sentence-transformers for this checkpoint",
        ),
        (("Transformer", "Normalize"), {}, "{}/modules.json: it lists Transformer, Normalize; expected Transformer, "),
        ((), {}, "{}/modules.json: it lists nothing; expected "),
        (("Transformer", "Pooling"), {}, "{}/1_Pooling/config.json is missing: "),
        (
            ("Transformer", "Pooling"),
            {"1_Pooling/config.json": {"pooling_mode": "median"}},
            "{}/1_Pooling/config.json: pooling_mode must be one or several of cls, max, mean, mean_sqrt_len_tokens, "
            "weightedmean, lasttoken, got 'median'",
        ),
        (
            ("Transformer", "Pooling"),
            {"1_Pooling/config.json": {"pooling_mode_mean_tokens": True, "pooling_mode_median_tokens": True}},
            "{}/1_Pooling/config.json: pooling_mode_median_tokens is not known here: use sentence-transformers",
        ),
        (
            ("Transformer", "Pooling", "Normalize"),
            {"1_Pooling/config.json": {}, "2_Normalize/config.json": {"module_input_name": "token_embeddings"}},
            "{}/2_Normalize/config.json: module_input_name='token_embeddings': only the text's own vector is ",
        ),
        (
            ("Transformer", "Pooling"),
            {"1_Pooling/config.json": {}, "config_sentence_transformers.json": {"model_type": "SparseEncoder"}},
            "{}/config_sentence_transformers.json: model_type 'SparseEncoder' does not give one vector for a text: ",
        ),
        (
            ("Transformer", "Pooling"),
            {
                "1_Pooling/config.json": {"include_prompt": False},
                "config_sentence_transformers.json": {"prompts": {"a": "ask: "}, "default_prompt_name": "a"},
            },
            "{}/config_sentence_transformers.json: the prompt 'ask: ' stands before every text but is not pooled: ",
        ),
        (
            ("Transformer", "Pooling"),
            {"1_Pooling/config.json": {}, "sentence_bert_config.json": {"max_seq_length": "long"}},
            "{}: max_seq_length must be a number of tokens, got 'long'",
        ),
    ],
)
def test_what_is_not_computed_here_is_refused(tmp_path, kinds, files, message):
    write_modules(tmp_path, *kinds)
    for name, content in files.items():
        write_json(tmp_path / name, content)
    with pytest.raises(InputError) as raised:
        read_sentence_form(tmp_path)
    assert str(raised.value).startswith(message.format(tmp_path))


@pytest.mark.parametrize("content", ["{", "3", '{"a": 1}', "[1]", '[{"type": "Transformer"}]'])
def test_a_damaged_list_of_modules_is_refused(tmp_path, content):
    (tmp_path / "modules.json").write_text(content)
    with pytest.raises(InputError, match=r"modules\.json cannot be read as a list of modules with type and path: "):
        read_sentence_form(tmp_path)
