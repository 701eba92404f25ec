"""Folders that sentence-transformers itself wrote, of every module in many combinations: its vectors, or a refusal."""

import dataclasses
import warnings
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from jax_encoder import TextEncoder
from jax_encoder.errors import InputError
from tests.jax_encoder.huggingface.made import wordpiece, write_bert

TEXTS = ["paris is the capital of france", "", "the river is long and the city is on the river", "paris", "a city . on"]
MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """Modules behind the encoder by their class and arguments, and what the model is made and called with."""

    modules: tuple[tuple[str, dict], ...]
    model: dict = dataclasses.field(default_factory=dict)
    call: dict = dataclasses.field(default_factory=dict)
    fields: dict = dataclasses.field(default_factory=dict)


def pooled(*after: tuple[str, dict], mode: object = "mean", **options: object) -> tuple[tuple[str, dict], ...]:
    return (("Pooling", {"embedding_dimension": 16, "pooling_mode": mode}), *after)


def dense(activation: str = "Tanh", outputs: int = 8, **options: object) -> tuple[str, dict]:
    return "Dense", {"in_features": 16, "out_features": outputs, "activation_function": activation, **options}


def layers(start: int, *after: tuple[str, dict]) -> tuple[tuple[str, dict], ...]:
    options = {"embedding_dimension": 16, "num_hidden_layers": 2, "layer_start": start}
    return (("WeightedLayerPooling", options), *after)


NORM, DROP = ("Normalize", {}), ("Dropout", {"dropout": 0.5})
PROMPTS = {"prompts": {"query": "the city ", "none": ""}}
UNPOOLED = (("Pooling", {"embedding_dimension": 16, "pooling_mode": MODES[:3] + MODES[4:], "include_prompt": False}),)
CASES = {
    **{f"pooling {mode}": Case(modules=pooled(mode=mode)) for mode in MODES},
    "several modes": Case(modules=pooled(NORM, mode=("max", "cls", "weightedmean"))),
    "all modes": Case(modules=pooled(mode=MODES)),
    "normalised": Case(modules=pooled(NORM)),
    "normalised twice": Case(modules=pooled(NORM, NORM, mode="cls")),
    **{
        f"dense {name}": Case(modules=pooled(dense(name)))
        for name in ("Identity", "Tanh", "ReLU", "GELU", "Sigmoid", "SiLU", "ELU", "LeakyReLU", "Mish", "Hardswish")
    },
    "dense without a bias": Case(modules=pooled(dense(bias=False), NORM)),
    "dense and its input": Case(modules=pooled(dense(outputs=16, use_residual=True))),
    "dense and its input, projected": Case(modules=pooled(dense(use_residual=True), NORM)),
    "two dense": Case(modules=pooled(dense(outputs=16), DROP, dense("Identity"), mode="cls")),
    "dense on tokens": Case(
        modules=(
            dense("GELU", module_input_name="token_embeddings"),
            ("Pooling", {"embedding_dimension": 8, "pooling_mode": "mean"}),
        )
    ),
    "dense beside the vector": Case(modules=pooled(dense(module_output_name="another"), NORM)),
    "normalised tokens": Case(modules=(("Normalize", {"module_input_name": "token_embeddings"}), *pooled(mode="max"))),
    "norm": Case(modules=pooled(("LayerNorm", {"dimension": 16}))),
    "norm, dropout, dense, normalised": Case(
        modules=pooled(("LayerNorm", {"dimension": 16}), DROP, dense(), NORM, mode="lasttoken")
    ),
    "layers": Case(
        modules=(
            ("WeightedLayerPooling", {"embedding_dimension": 16, "num_hidden_layers": 2, "layer_start": 1}),
            *pooled(),
        ),
        fields={"output_hidden_states": True},
    ),
    "layers from the first": Case(
        modules=(
            ("WeightedLayerPooling", {"embedding_dimension": 16, "num_hidden_layers": 2, "layer_start": 0}),
            *pooled(NORM),
        ),
        fields={"output_hidden_states": True},
    ),
    "layers that the encoder hands on to nobody": Case(
        modules=(
            ("WeightedLayerPooling", {"embedding_dimension": 16, "num_hidden_layers": 2, "layer_start": 1}),
            *pooled(),
        ),
    ),
    "prompt by default": Case(modules=pooled(), model=PROMPTS | {"default_prompt_name": "query"}),
    "prompt by name": Case(modules=pooled(), model=PROMPTS, call={"prompt_name": "query"}),
    "prompt that is there always": Case(modules=pooled(), call={"prompt_name": "document"}),
    "prompt as given": Case(
        modules=pooled(), model=PROMPTS | {"default_prompt_name": "query"}, call={"prompt": "long "}
    ),
    "prompt not pooled": Case(modules=UNPOOLED, model=PROMPTS, call={"prompt_name": "query"}),
    "no prompt that is not pooled": Case(modules=UNPOOLED, model=PROMPTS, call={"prompt_name": "none"}),
    "truncated": Case(modules=pooled(NORM), model={"truncate_dim": 5}),
    "truncated to more than there is": Case(modules=pooled(dense()), model={"truncate_dim": 50}),
    "similarity": Case(modules=pooled(), model={"similarity_fn_name": "manhattan"}),
}


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Path:
    return write_bert(tmp_path_factory.mktemp("bert"), wordpiece())


def drawn(kind: str, options: dict):
    """One of the library's modules, its parameters random."""
    import torch
    from sentence_transformers.sentence_transformer import modules as models

    options = dict(options)
    if "activation_function" in options:
        options["activation_function"] = getattr(torch.nn, options["activation_function"])()
    module = getattr(models, kind)(**options)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.uniform_(0.2, 1.5, generator=generator).mul_(0.5)
    return module


def written(folder: Path, bert: Path, case: Case) -> Path:
    """The case's model as the library saves it."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules as models

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = models.Transformer(str(bert), config_kwargs=case.fields)
        modules = [drawn(kind, options) for kind, options in case.modules]
        made = SentenceTransformer(modules=[first, *modules], device="cpu", **case.model)
        made.save(str(folder), create_model_card=False)
    return folder


FAST = ("pooling cls", "several modes", "all modes")


def vectors_of(folder: Path, **call: object) -> np.ndarray:
    """What the library makes of the texts, in float64."""
    from sentence_transformers import SentenceTransformer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = SentenceTransformer(str(folder), device="cpu").double()
    return theirs.encode(TEXTS, show_progress_bar=False, **call)


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
)
def test_vectors_are_the_librarys_own_and_stay_so_when_saved(name, bert, tmp_path):
    case = CASES[name]
    folder = written(tmp_path / "theirs", bert, case)
    expected = vectors_of(folder, **case.call)
    ours = TextEncoder.from_pretrained(folder, dtype=jnp.float64)
    vectors = ours.encode(TEXTS, **case.call)
    assert vectors.shape == expected.shape == (len(TEXTS), ours.width)
    np.testing.assert_allclose(vectors, expected, atol=1e-6, rtol=1e-6)
    ours.save(tmp_path / "ours")
    np.testing.assert_allclose(vectors_of(tmp_path / "ours", **case.call), expected, atol=1e-6, rtol=1e-6)
    again = TextEncoder.from_pretrained(tmp_path / "ours", dtype=jnp.float64)
    np.testing.assert_array_equal(again.encode(TEXTS, **case.call), vectors)


def test_a_table_of_tokens_needs_no_encoder(tmp_path):
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules as models

    tokenizer = wordpiece()
    table = torch.randn(30, 12, generator=torch.Generator().manual_seed(0))
    model = SentenceTransformer(
        modules=[models.StaticEmbedding(tokenizer, embedding_weights=table), drawn("Normalize", {})], device="cpu"
    )
    model.save(str(tmp_path / "theirs"), create_model_card=False)
    expected = model.encode(TEXTS, show_progress_bar=False)
    ours = TextEncoder.from_pretrained(tmp_path / "theirs")
    np.testing.assert_allclose(ours.encode(TEXTS), expected, atol=1e-6)
    ours.save(tmp_path / "ours")
    again = SentenceTransformer(str(tmp_path / "ours"), device="cpu").encode(TEXTS, show_progress_bar=False)
    np.testing.assert_allclose(again, expected, atol=1e-6)
    with pytest.raises(InputError, match="texts must be several strings"):
        ours.encode("paris")


def test_each_route_of_a_router_is_an_encoder(bert, tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules as models

    folder = tmp_path / "theirs"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = models.Transformer(str(bert))
        table = models.StaticEmbedding(wordpiece(), embedding_dim=16)
        router = models.Router.for_query_document([table], [first, drawn(*pooled()[0])], default_route="document")
        SentenceTransformer(modules=[router, drawn(*NORM)], device="cpu").save(str(folder), create_model_card=False)
    for task, route in ((None, "document"), ("document", "document"), ("query", "query")):
        ours = TextEncoder.from_pretrained(folder, task=task, dtype=jnp.float64)
        np.testing.assert_allclose(ours.encode(TEXTS), vectors_of(folder, task=route), atol=1e-6)
    with pytest.raises(InputError, match=r"router_config.json: task must be one of 'query', 'document', got 'other'$"):
        TextEncoder.from_pretrained(folder, task="other")


def test_similarities_are_the_librarys(bert, tmp_path):
    from sentence_transformers import SentenceTransformer

    encoder = TextEncoder.from_pretrained(written(tmp_path, bert, CASES["normalised"]))
    a, b = np.random.default_rng(0).normal(size=(2, 3, 7))
    theirs = SentenceTransformer(str(tmp_path), device="cpu")
    for name in ("cosine", "dot", "euclidean", "manhattan"):
        theirs.similarity_fn_name = name
        ours = TextEncoder(encoder.source, encoder.form._replace(similarity=name))
        np.testing.assert_allclose(ours.similarity(a, b), theirs.similarity(a, b).numpy(), rtol=1e-5)


def test_what_a_caller_asks_for_in_vain_is_refused(bert, tmp_path):
    folder = written(tmp_path, bert, CASES["prompt by name"])
    encoder = TextEncoder.from_pretrained(folder, truncate_dim=3)
    assert encoder.encode(TEXTS).shape == (5, encoder.width) == (5, 3)
    with pytest.raises(InputError, match=r"^prompt_name must be one of 'query', 'document', 'none', got 'ask'$"):
        encoder.encode(TEXTS, prompt_name="ask")
    with pytest.raises(InputError, match=r"^truncate_dim must be at least 1, got 0$"):
        TextEncoder.from_pretrained(folder, truncate_dim=0)
    with pytest.raises(InputError, match=r"modules.json has no Router, and so no route for the task 'query'$"):
        TextEncoder.from_pretrained(folder, task="query")
