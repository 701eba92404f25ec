"""Take a trained encoder to PyTorch: `python examples/export_and_load.py [RUN DIR]`.

Writes the run's newest checkpoint to DIR, loads it in transformers, and compares the two on one sentence.
"""

import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

from jax_encoder import huggingface, masks
from jax_encoder.training.export import export_run

RUN, DIR = map(Path, sys.argv[1:] or ["runs/example", "runs/example-export"])

export_run(RUN, DIR)
tokenizer, theirs = AutoTokenizer.from_pretrained(DIR), AutoModelForMaskedLM.from_pretrained(DIR).eval()
ours = huggingface.load(DIR).model()

given = tokenizer(f"the state of the {tokenizer.mask_token} is strong", return_tensors="pt")
with torch.no_grad():
    expected = theirs(**given).logits.numpy()
tokens = jnp.asarray(given["input_ids"].numpy(), jnp.int32)
outputs, taps = ours(tokens, masks.from_valid(jnp.ones(tokens.shape, bool)))

print(f"largest difference {np.abs(outputs.logits - expected).max():.1e}, largest logit {np.abs(expected).max():.1f}")
masked = int(np.flatnonzero(tokens[0] == tokenizer.mask_token_id)[0])
best = np.argsort(-expected[0, masked])[:5]
print("most likely:", ", ".join(tokenizer.decode([int(token)]) for token in best))
