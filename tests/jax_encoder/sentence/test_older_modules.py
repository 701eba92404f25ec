"""Forms that sentence-transformers reads and no longer writes: Asym behind a pooling, and model2vec's tables."""

import json
import warnings

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from jax_encoder import TextEncoder
from jax_encoder.errors import InputError
from tests.jax_encoder.huggingface.made import wordpiece, write_bert
from tests.jax_encoder.sentence.test_modules import NORM, TEXTS, dense, drawn, pooled, vectors_of


def asym(folder, bert, **parameters):
    """Pooled vectors that questions and documents turn each by a layer of their own, as Asym was written."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules as models

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        router = models.Router({"question": [drawn(*dense("Tanh"))], "document": [drawn(*dense("ReLU")), drawn(*NORM)]})
        first = models.Transformer(str(bert))
        made = SentenceTransformer(modules=[first, drawn(*pooled()[0]), router], device="cpu")
        made.save(str(folder), create_model_card=False)
    (place,) = folder.glob("2_*")
    values = json.loads((place / "router_config.json").read_text())
    (place / "router_config.json").unlink()
    types = {name: f"sentence_transformers.models.{type_.split('.')[-1]}" for name, type_ in values["types"].items()}
    (place / "config.json").write_text(json.dumps(values | {"types": types, "parameters": parameters}))
    listed = json.loads((folder / "modules.json").read_text())
    listed[2]["type"] = "sentence_transformers.models.Asym"
    (folder / "modules.json").write_text(json.dumps(listed))
    return folder


def test_asym_takes_the_route_of_the_task_and_the_first_without_one(tmp_path):
    bert = write_bert(tmp_path / "bert", wordpiece())
    folder = asym(tmp_path / "asym", bert, allow_empty_key=True)
    expected = {task: vectors_of(folder, **({} if task is None else {"task": task})) for task in (None, "document")}
    for task, vectors in expected.items():
        ours = TextEncoder.from_pretrained(folder, task=task)
        np.testing.assert_allclose(ours.encode(TEXTS), vectors, atol=1e-6)
    assert np.abs(expected[None] - expected["document"]).max() > 0.1
    with pytest.raises(InputError, match=r"config.json: task must be one of 'question', 'document', got 'answer'$"):
        TextEncoder.from_pretrained(folder, task="answer")


def test_asym_that_wants_a_task_is_refused_without_one(tmp_path):
    bert = write_bert(tmp_path / "bert", wordpiece())
    folder = asym(tmp_path / "asym", bert, allow_empty_key=False)
    with pytest.raises(InputError, match=r"task must be one of 'question', 'document', got None$"):
        TextEncoder.from_pretrained(folder)
    with pytest.raises(ValueError, match="Could not determine route"):
        vectors_of(folder)


def model2vec(folder, dtype=np.float32, *, mapping: bool = False, weights: bool = False, extra: str = ""):
    """A folder as model2vec writes it."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    wordpiece().save(str(folder / "tokenizer.json"))
    table = rng.normal(size=(9 if mapping else 30, 12)).astype(dtype)
    tensors = {"embeddings": table} | ({"mapping": rng.integers(0, 9, 30)} if mapping else {})
    tensors |= {"weights": rng.uniform(0.2, 2, 30)} if weights else {}
    save_file(tensors | ({extra: rng.normal(size=3)} if extra else {}), folder / "model.safetensors")
    config = {"model_type": "model2vec", "architectures": ["StaticModel"], "normalize": True, "hidden_dim": 12}
    (folder / "config.json").write_text(json.dumps(config))
    kinds = [(".", "StaticEmbedding"), ("1_Normalize", "Normalize")]
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (path, kind) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    return folder


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize(("mapping", "weights"), [(False, False), (True, False), (False, True), (True, True)])
def test_tables_of_model2vec(tmp_path, dtype, mapping, weights):
    from sentence_transformers import SentenceTransformer

    folder = model2vec(tmp_path / "m", dtype, mapping=mapping, weights=weights)
    theirs = SentenceTransformer(str(folder), device="cpu").float().encode(TEXTS, show_progress_bar=False)
    ours = TextEncoder.from_pretrained(folder)
    np.testing.assert_allclose(ours.encode(TEXTS), theirs, atol=1e-6)


def test_a_table_with_more_than_is_known_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"must hold the tensor embedding\.weight, got centroids, embeddings$"):
        TextEncoder.from_pretrained(model2vec(tmp_path / "m", extra="centroids"))
