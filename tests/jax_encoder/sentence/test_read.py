"""What sentence-transformers' files say of a checkpoint is read as it is meant, or refused."""

from pathlib import Path

import jax.numpy as jnp
import pytest

from jax_encoder.errors import InputError
from jax_encoder.sentence.form import SentenceForm
from jax_encoder.sentence.modules import Dense, Normalize, Pooling, WeightedLayerPooling
from jax_encoder.sentence.read import read_sentence_form
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
    pooling, normalize = form.modules
    assert isinstance(pooling, Pooling)
    assert pooling.modes == modes
    assert isinstance(normalize, Normalize)
    assert (form.encoder, form.max_length, form.cut_left, form.lower_case) == (tmp_path, int(1e30), None, False)
    assert form.prompt(None, None) == "ask: "


def test_a_file_that_turns_no_mode_on_means_the_mean(tmp_path):
    write_modules(tmp_path, "Transformer", "Pooling")
    write_json(tmp_path / "1_Pooling/config.json", {"word_embedding_dimension": 24, "pooling_mode_cls_token": False})
    (pooling,) = read_sentence_form(tmp_path).modules
    assert pooling.modes == ("mean",)


PLAIN = ("Transformer", "Pooling")
NO_MODE = {"1_Pooling/config.json": {}}
OWN, SENTENCES = "sentence_bert_config.json", "config_sentence_transformers.json"


@pytest.mark.parametrize(
    ("kinds", "files", "message"),
    [
        (("Transformer", "CNN"), {}, "{}/modules.json: the module CNN (1_CNN) is not computed here; known are "),
        (
            ("Pooling",),
            {},
            "{}/modules.json: the first module must be one of Transformer, StaticEmbedding, got Pooling",
        ),
        ((), {}, "{}/modules.json: the first module must be one of Transformer, StaticEmbedding, got nothing"),
        (PLAIN, {}, "{}/1_Pooling/config.json is missing: "),
        (
            PLAIN,
            {"1_Pooling/config.json": {"pooling_mode": "median"}},
            "pooling_mode='median': must be one or several of ",
        ),
        (
            PLAIN,
            {"1_Pooling/config.json": {"pooling_mode_median_tokens": True}},
            "pooling_mode_median_tokens=True: not ",
        ),
        (
            PLAIN,
            NO_MODE | {SENTENCES: {"model_type": "SparseEncoder"}},
            "model_type='SparseEncoder': does not give one ",
        ),
        (PLAIN, NO_MODE | {SENTENCES: {"similarity_fn_name": "maxsim"}}, "similarity_fn_name='maxsim': only "),
        (PLAIN, NO_MODE | {SENTENCES: {"pool_pairs": 3}}, "pool_pairs=3: not known here, may change the function"),
        (
            PLAIN,
            NO_MODE | {SENTENCES: {"default_prompt_name": "a"}},
            "default_prompt_name='a': must be one of 'query', ",
        ),
        (PLAIN, NO_MODE | {SENTENCES: {"prompts": {"a": 3}}}, "prompts: must be texts"),
        (
            PLAIN,
            NO_MODE | {OWN: {"max_seq_length": "long"}},
            "{}: max_seq_length must be a number of tokens, got 'long'",
        ),
        (
            PLAIN,
            NO_MODE | {OWN: {"query_expansion": {"length": 9}}},
            "query_expansion={'length': 9}: questions would be ",
        ),
        (
            PLAIN,
            NO_MODE | {OWN: {"transformer_task": "fill-mask"}},
            "transformer_task='fill-mask': another class would ",
        ),
        (
            PLAIN,
            NO_MODE | {OWN: {"tokenizer_args": {"do_lower_case": True}}},
            "with 'do_lower_case': the tokenizer would ",
        ),
        (
            PLAIN,
            NO_MODE | {OWN: {"model_args": {"num_labels": 2}}},
            "model_args with 'num_labels': the model would be ",
        ),
        (
            PLAIN,
            NO_MODE | {OWN: {"config_kwargs": {"hidden_size": 2}}},
            "config_kwargs={'hidden_size': 2}: config.json ",
        ),
        (PLAIN, NO_MODE | {OWN: {"made_up": 1}}, "made_up=1: not known here, may change the function"),
        (
            ("Transformer", "Dense"),
            {"1_Dense/config.json": {"activation_function": "torch.nn.modules.activation.Softmax"}},
            "activation_function='torch.nn.modules.activation.Softmax': must be one of torch's Identity, Tanh, ",
        ),
        (
            ("Transformer", "Dense"),
            {"1_Dense/config.json": {"in_features": 2, "out_features": 2}},
            "1_Dense has no weights: ",
        ),
    ],
)
def test_what_is_not_computed_here_is_refused(tmp_path, kinds, files, message):
    write_modules(tmp_path, *kinds)
    for name, content in files.items():
        write_json(tmp_path / name, content)
    with pytest.raises(InputError) as raised:
        read_sentence_form(tmp_path)
    assert message.replace("{}", str(tmp_path)) in str(raised.value)


@pytest.mark.parametrize("content", ["{", "3", '{"a": 1}', "[1]", '[{"type": "Transformer"}]'])
def test_a_damaged_list_of_modules_is_refused(tmp_path, content):
    (tmp_path / "modules.json").write_text(content)
    with pytest.raises(
        InputError, match=r"modules\.json cannot be read as (JSON|a list of modules with type and path): "
    ):
        read_sentence_form(tmp_path)


def test_what_is_given_for_the_tokenizer_wins_over_the_modules_own_limit(tmp_path):
    write_modules(tmp_path, *PLAIN)
    write_json(tmp_path / "1_Pooling/config.json", {})
    write_json(tmp_path / "tokenizer_config.json", {"model_max_length": 40})
    for own, limit in (
        ({}, 40),
        ({"max_seq_length": 64}, 64),
        ({"max_seq_length": 64, "tokenizer_args": {"model_max_length": 8}}, 8),
        ({"processor_kwargs": {"model_max_length": 9, "use_fast": True}, "model_args": {"torch_dtype": "float16"}}, 9),
    ):
        write_json(tmp_path / OWN, own)
        assert read_sentence_form(tmp_path).max_length == limit


@pytest.mark.parametrize("place", ["../outside", "/etc", "1_Pooling/../../outside"])
def test_a_module_outside_of_the_folder_is_refused(tmp_path, place):
    folder = tmp_path / "folder"
    write_modules(folder, *PLAIN)
    (folder / "modules.json").write_text((folder / "modules.json").read_text().replace("1_Pooling", place))
    with pytest.raises(InputError, match=r"modules\.json names '.*', which lies outside of "):
        read_sentence_form(folder)


def test_code_of_a_folders_own_is_refused(tmp_path):
    write_modules(tmp_path, *PLAIN)
    path = tmp_path / "modules.json"
    path.write_text(path.read_text().replace("sentence_transformers.models.Pooling", "modeling.Pooling"))
    with pytest.raises(InputError, match=r"the module modeling\.Pooling is code of its own, which is never run$"):
        read_sentence_form(tmp_path)


def test_modules_that_do_not_fit_together_are_refused():
    dense = Dense(kernel=jnp.zeros((3, 2)), bias=None, residual=None, activation="Tanh")
    for modules, message in (
        ((), "no module makes one vector of a text's tokens"),
        ((Normalize(),), "module 1, Normalize, reads sentence_embedding, which no module before it has made"),
        ((Pooling(modes=("mean",)), dense), "module 2, Dense, reads vectors of 3 numbers, got 4"),
        (
            (WeightedLayerPooling(weights=jnp.ones(3), start=1),),
            "has 3 weights from layer 1 on, and the encoder has 2 lay",
        ),
    ):
        with pytest.raises(InputError, match=message):
            SentenceForm(Path("made up"), modules).width(4, 2)
