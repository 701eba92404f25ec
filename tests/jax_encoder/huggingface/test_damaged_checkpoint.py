"""Damaged checkpoints are refused, or read as if they were not damaged; nothing else is raised, and memory stays."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.jax_encoder.huggingface.fuzz import fuzz
from tests.jax_encoder.huggingface.helpers import fields_in, save_with_transformers, tensors_in, write

FUZZED = {
    "BertForMaskedLM": "bert",
    "AlbertForPreTraining": "albert",
    "ModernBertForSequenceClassification": "modernbert",
    "EuroBertForMaskedLM": "eurobert",
}


def sound(architecture: str, folder: Path) -> Path:
    """A checkpoint to damage; BERT's has all that a published file may have besides its weights."""
    if architecture != "BertForMaskedLM":
        save_with_transformers(architecture, FUZZED[architecture], folder)
        return folder
    save_with_transformers("BertForPreTraining", "bert", folder)
    tensors = tensors_in(folder)
    tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"]
    tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"]
    tensors["bert.embeddings.position_ids"] = np.arange(17)[None]
    return write(folder, fields_in(folder) | {"architectures": [architecture]}, tensors)


@pytest.mark.parametrize("architecture", FUZZED)
def test_a_damaged_checkpoint_is_refused_or_read_as_if_it_were_not(architecture, tmp_path):
    came = fuzz(sound(architecture, tmp_path / "sound"), tmp_path / "damaged", 100, seed=0)
    assert came.refused > 80
    assert came.identical > 0
    assert came.slowest < 5


@pytest.mark.slow
def test_ten_thousand_damaged_checkpoints(tmp_path, record_property):
    folder = sound("BertForMaskedLM", tmp_path / "sound")
    # In a process of its own first: whatever ends that one would end the tests.
    code = f"from pathlib import Path; from {fuzz.__module__} import fuzz; at = Path({str(tmp_path)!r}); "
    code += "came = fuzz(at / 'sound', at / 'apart', 400, seed=1); print(came); assert came.grown < 2**28"
    here = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=here, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    came = fuzz(folder, tmp_path / "damaged", 10_000, seed=2)
    record_property("fuzzed", str(came))
    print(f"\nin a process of its own: {done.stdout.strip()}\nhere: {came}")
    assert came.refused + came.identical == 10_000
    assert came.slowest < 5
    assert came.grown < 2**28
