import dataclasses
from itertools import product
from typing import Literal, get_args

import numpy as np
import pytest

from jax_encoder.config import EncoderConfig, PositionKind, RelativeKind
from parity.cases.adequacy import inadequacies
from parity.cases.case import CASE_NAMES, make_case
from parity.encoder.form import Form
from parity.encoder.random_config import Scale, choices, draw_form, random_form
from parity.encoder.variants import sizes_of
from parity.precision.runs import random_forms
from tests.parity.encoder.options import missing

FORMS = list(random_forms(200, seed=0).values())
CONFIGS = [form.config for form in FORMS]
SIZES = ("vocab_size", "max_len", "embed_dim", "num_layers", "num_heads", "head_dim", "mlp_dim", "num_token_types")


def test_equal_seeds_give_equal_models_and_few_are_the_first_of_many():
    assert list(random_forms(3, seed=0).values()) == FORMS[:3]
    assert random_form(np.random.default_rng(1)) not in FORMS


def test_no_two_sizes_are_equal():
    for config in CONFIGS:
        sizes = [getattr(config, name) for name in SIZES]
        if config.num_heads > 1:
            sizes.append(config.num_heads * config.head_dim)
        assert len(set(sizes)) == len(sizes), config


@pytest.mark.parametrize("case", CASE_NAMES)
def test_every_case_is_adequate_for_every_encoder(case):
    for config in CONFIGS:
        sizes = sizes_of(config)
        assert inadequacies(make_case(case, sizes), sizes) == ()


def test_every_value_of_every_option_is_drawn():
    classifiers = [form.classifier for form in FORMS if form.classifier is not None]
    assert missing(CONFIGS) == []
    assert missing(classifiers) == []
    assert 0 < len(classifiers) < len(FORMS)
    for option in ("pooler", "deployed", "drops"):
        assert {getattr(form, option) for form in FORMS} == {True, False}


@pytest.mark.parametrize("numbers", ["norm_eps", "embedding_dropout", "attention_dropout", "residual_dropout"])
def test_numbers_are_drawn_from_several(numbers):
    assert len({getattr(config, numbers) for config in CONFIGS}) > 2


class Plainest:
    """Takes what comes first."""

    def one_of(self, choices):
        return choices[0]

    def integer(self, low, high):
        return low


def test_what_comes_first_is_of_berts_form():
    tiny = EncoderConfig.tiny()
    sizes = {name: getattr(tiny, name) for name in (*SIZES, "table_dim") if name != "num_layers"}
    form = draw_form(Plainest(), Scale(layers=3, window=5, sizes=lambda choose, drawn: sizes))
    one_layer = {"num_layers": 1, "layer_groups": (0,), "windows": (None,)}
    rates = dict.fromkeys(("embedding_dropout", "attention_dropout", "residual_dropout"), 0.0)
    assert form == Form(dataclasses.replace(tiny, **one_layer, **rates))


@pytest.mark.parametrize(
    ("hint", "plain", "expected"),
    [
        (bool, False, (False, True)),
        (Literal["a", "b", "c"], "b", ("b", "a", "c")),
        (Literal["a", "b"] | None, "b", ("b", "a", None)),
        (Literal["a", "b"] | None, None, (None, "a", "b")),
        (int, 3, ()),
        (int | None, None, ()),
        (tuple[int, ...], (), ()),
    ],
)
def test_the_choices_of_a_type(hint, plain, expected):
    assert choices(hint, plain) == expected


def test_forms_that_exclude_each_other_are_both_drawn():
    kinds = {(config.position_kind, bool(config.rope_thetas), bool(config.position_offset)) for config in CONFIGS}
    assert kinds == {
        ("learned", False, False),
        ("learned", False, True),
        ("sinusoidal", False, False),
        ("rotary", True, False),
        ("none", False, False),
    }
    pairs = {(config.position_kind, config.relative_kind) for config in CONFIGS}
    assert pairs == set(product(get_args(PositionKind), (*get_args(RelativeKind), None))) - {("rotary", "disentangled")}
    assert {config.num_token_types for config in CONFIGS} >= {0, 1, 2}
    assert any(None in config.windows and len(set(config.windows)) > 1 for config in CONFIGS)
    assert any(not config.first_attention_norm and config.num_layers == 1 for config in CONFIGS)
