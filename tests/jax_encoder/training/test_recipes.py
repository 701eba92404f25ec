"""Every preset is trained as its authors trained it, unless the user says otherwise."""

import dataclasses
import math
from typing import get_args

import jax
import numpy as np
import pytest

from jax_encoder.commands.train import parse
from jax_encoder.config import EncoderConfig
from jax_encoder.params import named, nested
from jax_encoder.training.choose import choose_encoder, row_length
from jax_encoder.training.config import ModelOptions, Preset, PretrainConfig
from jax_encoder.training.initial import drawn
from jax_encoder.training.recipes import RECIPES, pretraining, told
from jax_encoder.training.step import build
from tests.jax_encoder.training.helpers import assert_trees_close


def test_every_preset_has_one_that_works():
    assert set(RECIPES) == set(get_args(Preset))
    for preset in RECIPES:
        config = pretraining(preset)
        config.check()
        encoder = choose_encoder(config.model)
        assert row_length(config.model, encoder) == min(RECIPES[preset].seq_len, encoder.max_len)
        assert config.batch_size // config.accumulate <= 32


def test_the_default_run_is_minis():
    assert pretraining() == PretrainConfig() == parse(["pretrain"])


# Read off the papers by hand, once more: rate, warm-up, steps, b1, b2, epsilon, decay, batch, masking.
PAPERS = {
    "bert_base": (1e-4, 10_000, 1_000_000, 0.9, 0.999, 1e-6, 0.01, 256, 0.15),
    "bert_large": (1e-4, 10_000, 1_000_000, 0.9, 0.999, 1e-6, 0.01, 256, 0.15),
    "minilm_l6": (3e-4, 4000, 400_000, 0.9, 0.999, 1e-6, 0.01, 256, 0.15),
    "roberta_base": (6e-4, 24_000, 500_000, 0.9, 0.98, 1e-6, 0.01, 8192, 0.15),
    "modernbert_base": (8e-4, 636, 364_300, 0.9, 0.98, 1e-6, 1e-5 / 8e-4, 4608, 0.3),
}


@pytest.mark.parametrize("preset", PAPERS)
def test_a_preset_brings_the_numbers_of_its_paper(preset):
    run = parse(["pretrain", f"--preset={preset}"])
    given = run.optimizer
    numbers = (given.learning_rate, given.warmup_steps, run.steps, given.b1, given.b2, given.eps, given.weight_decay)
    assert (*numbers, run.batch_size, run.text.mask_rate) == PAPERS[preset]


def test_what_the_user_says_stands_and_is_told():
    run = parse(["pretrain", "--preset=bert_base", "--learning-rate=2e-4", "--batch-size=8", "--steps", "200"])
    assert (run.optimizer.learning_rate, run.batch_size, run.steps, run.accumulate) == (2e-4, 8, 200, 1)
    assert (run.optimizer.warmup_steps, run.optimizer.b2) == (2, 0.999)
    lines = told(run)
    assert lines[0].startswith("bert_base, Devlin et al. (2019), appendix A.2; ")
    assert "learning rate 0.0002, warm-up 2 of 200 steps, linear, betas 0.9 and 0.999, epsilon 1e-06" in lines[1]
    assert lines[-1] == (
        "otherwise here: --steps 200 for 1,000,000, --batch-size 8 for 256, --learning-rate 0.0002 for 0.0001"
    )
    assert not told(pretraining("bert_base"))[-1].startswith("otherwise here")


def test_a_warm_up_that_was_not_asked_for_follows_the_steps():
    for steps, warmup in ((1, 0), (2, 0), (50, 2), (2000, 100), (4000, 200)):
        run = parse(["pretrain", f"--steps={steps}"])
        run.check()
        assert run.optimizer.warmup_steps == warmup
    assert parse(["pretrain", "--steps=50", "--warmup-steps=30"]).optimizer.warmup_steps == 30


def test_the_papers_batch_is_computed_in_parts_and_ones_own_at_once():
    assert parse(["pretrain", "--preset=bert_base"]).accumulate == 8
    assert parse(["pretrain", "--preset=bert_base", "--batch-size=64"]).accumulate == 1
    assert parse(["pretrain", "--preset=bert_base", "--accumulate=2"]).accumulate == 2


def test_another_presets_recipe_can_be_asked_for():
    run = parse(["pretrain", "--recipe=roberta_base", "--steps=10"])
    assert (run.model.preset, run.optimizer.learning_rate, run.model.init) == ("mini", 6e-4, "normal")
    assert (run.optimizer.clip_norm, run.model.seq_len) == (None, None)
    assert told(run)[0].startswith("roberta_base, Liu et al. (2019), table 9")
    said = told(parse(["pretrain", "--encoder=mine.json"]))
    assert "mine.json has no recipe of its own: --recipe takes another preset's" in said


def test_initial_values_are_the_ones_named():
    encoder, config = EncoderConfig.tiny(), PretrainConfig()
    params, key = build(config, encoder).init().params, jax.random.fold_in(jax.random.key(config.seed), 0)

    def of_kind(kind: str) -> dict[str, np.ndarray]:
        made = jax.jit(lambda params: drawn(params, kind, encoder, key))(params)
        return {name: np.asarray(leaf) for name, leaf in named(made).items()}

    cut, whole, narrow = map(of_kind, ("truncated", "normal", "megatron"))
    std, word = encoder.init_std, "encoder.embedding.word"
    # A normal cut at two of its deviations has 0.8796 of its deviation left.
    assert np.abs(cut[word]).max() <= 2 * std
    assert cut[word].std() == pytest.approx(0.8796 * std, rel=0.05)
    assert np.abs(whole[word]).max() > 3 * std
    assert whole[word].std() == pytest.approx(std, rel=0.05)
    up, down = (whole[f"encoder.layers.mlp.{name}.kernel"].ravel() for name in ("up", "down"))
    assert abs(np.corrcoef(up, down)[0, 1]) < 0.1
    for name, array in narrow.items():
        factor = 1 / math.sqrt(2 * encoder.num_layers) if name.endswith((".out.kernel", ".down.kernel")) else 1
        np.testing.assert_allclose(array, factor * cut[name], rtol=1e-6)
        if name.endswith((".scale", ".bias")):
            np.testing.assert_array_equal(whole[name], cut[name])
    # A run draws them so.
    normal = build(dataclasses.replace(config, model=ModelOptions(init="normal")), encoder).init().params
    assert_trees_close(normal, nested(whole), rtol=1e-6)
