import numpy as np
import pytest

from parity.cases.case import CASE_NAMES, make_case
from parity.cases.word_table import inadequacies, prepare
from parity.judge.compare import SEMANTIC
from tests.parity import helpers as toy

SIZES = toy.sizes()
RNG = np.random.default_rng(0)
WORD_VD = RNG.standard_normal((61, 20))
POSITION_PD, TYPE_KD = RNG.standard_normal((37, 20)), RNG.standard_normal((3, 20))
LOW = make_case("low-variance", SIZES)
REST_BTD = POSITION_PD[LOW.positions_BT] + TYPE_KD[LOW.token_types_BT]


def layer_norm(x, eps):
    mean = x.mean(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(axis=-1, keepdims=True) + eps)


def fast_layer_norm(x, eps):
    mean = x.mean(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt((x * x).mean(axis=-1, keepdims=True) - mean * mean + eps)


def difference(actual, expected) -> float:
    return np.abs(actual - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("name", sorted(set(CASE_NAMES) - {"low-variance", "nan-padding"}))
def test_other_cases_get_an_equal_copy(name):
    case = make_case(name, SIZES)
    table_VD = prepare(WORD_VD, np.zeros((*case.tokens_BT.shape, 20)), case, 1e-12)
    assert (table_VD == WORD_VD).all()
    assert not np.may_share_memory(table_VD, WORD_VD)


@pytest.mark.parametrize("eps", [1e-3, 1e-5, 1e-12])
def test_low_variance_tokens_expose_what_touches_epsilon(eps):
    table_VD = prepare(WORD_VD, REST_BTD, LOW, eps)
    assert inadequacies(table_VD, REST_BTD, LOW, eps) == ()
    total_BTD = table_VD[LOW.tokens_BT] + REST_BTD
    expected_BTD = layer_norm(total_BTD, eps)
    assert difference(layer_norm(total_BTD, eps * 1.1), expected_BTD) > 1e4 * SEMANTIC
    assert difference(fast_layer_norm(total_BTD, eps), expected_BTD) > 2 * SEMANTIC
    order = RNG.permutation(20)
    assert difference(layer_norm(total_BTD[..., order], eps), expected_BTD[..., order]) < SEMANTIC / 100
    other_order_BTD = (table_VD[LOW.tokens_BT] + POSITION_PD[LOW.positions_BT]) + TYPE_KD[LOW.token_types_BT]
    assert difference(layer_norm(other_order_BTD, eps), expected_BTD) < SEMANTIC / 100


def test_only_the_named_rows_change():
    table_VD = prepare(WORD_VD, REST_BTD, LOW, 1e-6)
    named = [low.token for low in LOW.low_variance]
    assert (np.flatnonzero((table_VD != WORD_VD).any(axis=1)) == sorted(named)).all()


def test_a_table_that_was_not_prepared_is_not_adequate():
    reasons = inadequacies(WORD_VD, REST_BTD, LOW, 1e-6)
    assert len(reasons) == 8
    assert reasons[0].startswith("token 60 has variance ")
    assert reasons[0].endswith(", must be 2.5e-07")


def test_an_epsilon_that_the_table_was_not_made_for_is_not_adequate():
    assert len(inadequacies(prepare(WORD_VD, REST_BTD, LOW, 1e-6), REST_BTD, LOW, 1e-5)) == 8


def test_poison_is_nan_at_padding_only():
    case = make_case("nan-padding", SIZES)
    table_VD = prepare(WORD_VD, np.zeros((5, 13, 20)), case, 1e-12)
    assert np.isnan(table_VD[case.poison]).all()
    assert (np.isnan(table_VD[case.tokens_BT]).any(axis=-1) == ~case.seen_BS).all()
    assert inadequacies(table_VD, np.zeros((5, 13, 20)), case, 1e-12) == ()
    [reason] = inadequacies(WORD_VD, np.zeros((5, 13, 20)), case, 1e-12)
    assert reason == "the row of the poisoned token, 60, is not NaN"
