"""The matrix has what it claims: every value of every option, and what only two options together can show."""

import dataclasses
from itertools import product
from typing import Literal, get_args

import pytest

from jax_encoder.config import NormOrder, PositionKind, RelativeKind
from parity.encoder.variants import CLASSIFIERS, presets, sizes_of, variants
from tests.parity.encoder.options import covering, missing

VARIANTS = variants()
CONFIGS = [form.config for form in VARIANTS.values()]
MASKS = ("full", "windows in some layers", "windows everywhere")


def test_every_value_of_every_option_of_an_encoder():
    assert missing(CONFIGS) == []


def test_every_value_of_every_option_of_a_classifier():
    assert missing([form.classifier for form in VARIANTS.values()]) == []


def test_what_is_not_an_option_varies_too():
    assert len({config.norm_eps for config in CONFIGS}) > 1
    orders = {(config.norm_order, config.final_norm) for config in CONFIGS}
    assert orders == set(product(get_args(NormOrder), (True, False)))
    groups = {(len(set(config.layer_groups)), config.num_layers) for config in CONFIGS}
    assert any(2 < each < layers for each, layers in groups), "with two groups, some mistakes are one"
    assert any(2 < each == layers for each, layers in groups)


def mask_of(config) -> str:
    return MASKS[sum((None not in config.windows, any(config.windows)))]


def positions_of(config) -> set[str]:
    return {config.position_kind} | ({config.relative_kind} if config.relative_kind else set())


def test_every_pair_of_norm_order_mask_and_positions():
    seen = {(config.norm_order, mask_of(config), kind) for config in CONFIGS for kind in positions_of(config)}
    factors = get_args(NormOrder), MASKS, (*get_args(PositionKind), *get_args(RelativeKind))
    for one, other in ((0, 1), (0, 2), (1, 2)):
        pairs = {(each[one], each[other]) for each in seen}
        assert not set(product(factors[one], factors[other])) - pairs


def test_encoders_with_dropout_are_checked_as_they_are_trained_and_as_they_are_deployed():
    for order in get_args(NormOrder):
        trained, deployed = VARIANTS[f"{order}-dropout"], VARIANTS[f"{order}-deployed"]
        assert trained.config == deployed.config
        assert (trained.drops, deployed.drops) == (True, False)
        assert min(trained.config.embedding_dropout, trained.config.attention_dropout) > 0
        assert trained.config.residual_dropout > 0


def test_every_classifier_stands_on_several_variants():
    counts = [sum(form.classifier == one for form in VARIANTS.values()) for one in CLASSIFIERS]
    assert min(counts) > 1


def test_encoders_of_full_size_are_as_they_are_deployed():
    for form in presets().values():
        assert form.deployed
        assert sizes_of(form.config).vocab_size > 8000


@dataclasses.dataclass(frozen=True)
class Toy:
    switch: bool = True
    choice: Literal["one", "two"] = "one"
    bent: Literal["up", "down"] | None = "up"
    width: int | None = None
    rows: int = 2
    size: int = 3
    layers: tuple[int | None, ...] = (None, None)

    def __post_init__(self):
        if self.size < 1 or self.width == 0 or len(self.layers) != 2:
            raise ValueError


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({}, ["switch: False", "choice: 'two'", "bent: None", "bent: 'down'", "width: a number", "rows: 0"]),
        ({"switch": False, "choice": "two", "width": 3}, ["bent: None", "bent: 'down'", "rows: 0"]),
        ({"bent": None}, ["switch: False", "choice: 'two'", "bent: 'down'", "width: a number", "rows: 0"]),
        ({"rows": 0, "bent": "down"}, ["switch: False", "choice: 'two'", "bent: None", "width: a number"]),
    ],
)
def test_a_matrix_that_leaves_something_out(changes, left):
    layers = ["layers: unequal layers", "layers: a number"]
    assert missing([Toy(), Toy(**changes)]) == left + layers
    assert missing([Toy(), Toy(**changes, layers=(None, 1))]) == left


def test_an_option_of_an_unknown_kind_is_not_passed_over():
    @dataclasses.dataclass(frozen=True)
    class Strange:
        option: dict[str, int] = dataclasses.field(default_factory=dict)

    with pytest.raises(NotImplementedError, match="dict"):
        missing([Strange()])


def test_a_few_variants_have_every_value_of_every_option():
    few = covering(VARIANTS)
    assert len(few) < len(VARIANTS) / 2
    assert missing([VARIANTS[name].config for name in few]) == []
    assert missing([VARIANTS[name].classifier for name in few]) == []
    assert {VARIANTS[name].pooler for name in few} == {form.pooler for form in VARIANTS.values()}
    assert {VARIANTS[name].deployed for name in few} == {form.deployed for form in VARIANTS.values()}
