import dataclasses

import numpy as np
import pytest

from jax_encoder.config import EncoderConfig
from parity.cases.adequacy import inadequacies
from parity.cases.case import CASE_NAMES, make_case
from parity.encoder.random_config import random_config
from parity.encoder.variants import sizes_of
from parity.precision.runs import random_forms

CONFIGS = [form.config for form in random_forms(200, seed=0).values()]
SIZES = ("vocab_size", "max_len", "embed_dim", "num_layers", "num_heads", "head_dim", "mlp_dim", "num_token_types")


def test_equal_seeds_give_equal_encoders_and_few_are_the_first_of_many():
    assert list(random_forms(3, seed=0).items()) == list(random_forms(200, seed=0).items())[:3]
    assert random_config(np.random.default_rng(1)) not in CONFIGS


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


@pytest.mark.parametrize(
    "option", [field.name for field in dataclasses.fields(EncoderConfig) if field.name not in SIZES]
)
def test_every_option_is_drawn(option):
    drawn = {getattr(config, option) for config in CONFIGS}
    field = EncoderConfig.__dataclass_fields__[option].type
    choices = {True, False} if field is bool else set(getattr(field, "__args__", ()))
    if all(isinstance(choice, str | bool) for choice in choices):
        assert drawn >= choices
    assert len(drawn) > 1


def test_forms_that_exclude_each_other_are_both_drawn():
    kinds = {(config.position_kind, bool(config.rope_thetas), bool(config.position_offset)) for config in CONFIGS}
    assert kinds == {
        ("learned", False, False),
        ("learned", False, True),
        ("sinusoidal", False, False),
        ("rotary", True, False),
    }
    assert {config.num_token_types for config in CONFIGS} >= {0, 1, 2}
    assert any(None in config.windows and len(set(config.windows)) > 1 for config in CONFIGS)
    assert any(not config.first_attention_norm and config.num_layers == 1 for config in CONFIGS)
