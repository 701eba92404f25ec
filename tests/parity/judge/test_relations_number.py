"""Factors and offsets in words: what has a name has it, and what is near a name has none."""

import math

import pytest

from parity.judge.relations import number, signed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.0, "2"),
        (0.5, "0.5"),
        (1.0, "1"),
        (0.123, "0.123"),
        (0.1234567, "0.123457"),
        (1e9 / 3, "3.33333e+08"),
        (8**-0.5, "0.353553 (1/sqrt(8))"),
        (2**0.5, "1.41421 (sqrt(2))"),
        (24**0.5, "4.89898 (sqrt(24))"),
        (1 / 3, "0.333333 (1/3)"),
        (-1 / 3, "-0.333333"),
        (math.nan, "nan"),
    ],
)
def test_factors_have_names(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1 + 7e-5, "(1 + 7e-05)"),
        (1 - 9.9e-5, "(1 - 9.9e-05)"),
        (1 + 1.5e-4, "1.00015"),
        (1 + 1e-12, "(1 + 1e-12)"),
    ],
)
def test_what_is_near_one_is_told_from_it(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2**0.5 * (1 + 0.4e-9), "1.41421 (sqrt(2))"),
        (2**0.5 * (1 + 0.75e-9), "1.41421"),
        (900_000**-0.5, "0.00105409 (1/sqrt(900000))"),
        (1_100_000**-0.5, "0.000953463"),  # as many roots as numbers
        (810_001**0.5, "900.001 (sqrt(810001))"),
        (1_210_001**0.5, "1100"),
    ],
)
def test_a_name_ends_where_another_number_begins(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.25, "+ 0.25"), (-1 / 3, "- 0.333333"), (0.0, "+ 0"), (1e-7, "+ 1e-07"), (1.5, "+ 1.5")]
)
def test_an_offset_has_its_sign_as_an_operator(value, text):
    assert signed(value) == text
