"""An accelerator computes what the CPU does. Each test is skipped without one, and tried by `--accelerator=cpu`."""

import dataclasses
import os
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.gpu.precision import SEMANTIC, Values, drawn, errors, same_bits, values_of
from jax_encoder.config import EncoderConfig
from jax_encoder.kernels import table
from jax_encoder.training.config import OptimizerOptions, PretrainConfig
from jax_encoder.training.session import load_trained
from jax_encoder.training.step import TrainState, build
from parity.judge.verdict import Verdict
from parity.kernels import lowering
from parity.kernels.runs import check_kernels
from parity.report.text import render
from tests.jax_encoder.training.helpers import random_batch, tiny, write_corpus
from tests.sources import ROOT

pytestmark = pytest.mark.gpu

TINY = EncoderConfig.tiny()
MODERN = dataclasses.replace(
    EncoderConfig.mini(),
    vocab_size=TINY.vocab_size,
    embed_dim=20,
    num_heads=3,
    num_key_value_heads=3,
    head_dim=8,
    mlp_dim=28,
    windows=(None, 3, 3, None),
)
ENCODERS = {"bert": TINY, "modernbert": MODERN}
STILL = dict.fromkeys(("embedding_dropout", "attention_dropout", "residual_dropout"), 0.0)
# The last row is padding alone.
BATCH = random_batch([5, 3, 1, 0])
BATCH.segments[-1] = BATCH.positions[-1] = 0
STEPS = 3


@pytest.fixture(scope="module")
def values():
    """Loss and gradient by encoder, dtype, precision and device, each computed once."""
    done: dict[tuple[str, str, str, str], Values] = {}

    def of(name: str, dtype: str, precision: str, device: jax.Device) -> Values:
        key = (name, dtype, precision, device.platform)
        if key not in done:
            done[key] = values_of(ENCODERS[name], BATCH, dtype, precision, device)
        return done[key]

    return of


@pytest.fixture(scope="module")
def cpu() -> jax.Device:
    return jax.devices("cpu")[0]


@pytest.mark.parametrize("name", ENCODERS)
def test_loss_and_gradient_in_float64_are_the_cpus(name, values, accelerator, cpu):
    found, exact = (values(name, "float64", "highest", device) for device in (accelerator, cpu))
    assert max(errors(found, exact)) <= SEMANTIC
    for (path, one), other in zip(
        jax.tree_util.tree_leaves_with_path(found.gradients), jax.tree.leaves(exact.gradients), strict=True
    ):
        # A bias of all keys has a gradient of rounding alone.
        scale = max(float(np.abs(other).max()), 1e-3)
        assert float(np.abs(one - other).max()) <= SEMANTIC * scale, path


def test_float32_at_its_highest_precision_is_float32(values, accelerator, cpu):
    """TensorFloat-32 has a thousand times the error."""
    exact = values("bert", "float64", "highest", cpu)
    (_, found), (_, fair) = (errors(values("bert", "float32", "highest", one), exact) for one in (accelerator, cpu))
    assert found <= 10 * fair


@pytest.mark.parametrize("name", ENCODERS)
def test_an_empty_row_stays_finite_in_bfloat16(name, values, accelerator, cpu):
    found, exact = values(name, "bfloat16", "default", accelerator), values(name, "float64", "highest", cpu)
    assert np.isfinite(found.loss)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found.gradients))
    # As exact as bfloat16 is on the CPU: finite, and right.
    assert errors(found, exact)[1] <= 4 * errors(values(name, "bfloat16", "default", cpu), exact)[1]


def test_every_implementation_of_attention_for_this_device_is_proved_on_it(accelerator, monkeypatch):
    monkeypatch.setattr(lowering, "runs", lambda name: ())  # what runs need not be lowered
    with jax.default_device(accelerator):
        here = [name for name, one in table.IMPLEMENTATIONS.items() if table.platform() in one.platforms]
        report = check_kernels(implementations=here, cases=["heads of 64, shared keys", "heads of 32, window 33"])
    assert report.verdict is Verdict.PASS, render(report)
    assert {run.variant for run in report.precision} == set(here)
    assert {run.agreed for run in report.precision} == {Verdict.PASS}


def trained(encoder: EncoderConfig, device: jax.Device) -> TrainState:
    """Some steps in float64 from the same parameters."""
    config = PretrainConfig(steps=60, batch_size=4, optimizer=OptimizerOptions(learning_rate=1e-3, warmup_steps=0))
    program = build(config, encoder, dtype=jnp.float64)
    with jax.default_device(device):
        state = program.init()._replace(params=jax.device_put(drawn(encoder, np.float64), device))
        for _ in range(STEPS):
            state, _ = program.step(state, BATCH)
    assert {one.platform for leaf in jax.tree.leaves(state) for one in leaf.devices()} == {device.platform}
    return state


def test_training_in_float64_is_the_cpus(accelerator, cpu):
    """With dropout, where the generator of its bits draws the same on both."""
    encoder = TINY if same_bits(accelerator, cpu) else dataclasses.replace(TINY, **STILL)
    found, expected = (jax.tree.map(np.asarray, trained(encoder, device)) for device in (accelerator, cpu))
    assert int(found.step) == STEPS
    for (path, one), other in zip(
        jax.tree_util.tree_leaves_with_path(found.params), jax.tree.leaves(expected.params), strict=True
    ):
        # Adam makes steps of the learning rate out of gradients of any size, of those that are rounding too.
        assert float(np.abs(one - other).max()) <= 1e-3 * SEMANTIC + 1e-9 * float(np.abs(other).max()), path


def test_a_run_that_was_cut_short_goes_on_bit_for_bit(accelerator, tmp_path):
    write_corpus(tmp_path / "text.txt")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    # This process may have taken most of the card.
    environment = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    if accelerator.platform == "cpu":
        environment["JAX_PLATFORMS"] = "cpu"
    else:  # a GPU adds up the gradients of embeddings in another order each time, if it may
        environment["XLA_FLAGS"] = "--xla_gpu_deterministic_ops=true"

    def run(*arguments: str) -> None:
        command = [sys.executable, "train.py", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    run(*tiny(tmp_path / "text.txt", whole, "--keep=9"))
    shutil.copytree(whole, cut)
    checkpoints = sorted((cut / "checkpoints").glob("step_*"))
    for path in checkpoints[4:]:  # those of steps 0 and 2 stay, each with its list of checksums
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    run("resume", str(cut))
    one, other = load_trained(whole), load_trained(cut)
    assert (one.step, other.step) == (6, 6)
    differing = {
        jax.tree_util.keystr(path): float(jnp.abs(a - b).max())
        for (path, a), b in zip(
            jax.tree_util.tree_leaves_with_path(one.params), jax.tree.leaves(other.params), strict=True
        )
        if not np.array_equal(a, b)
    }
    assert not differing
