"""Mutants: every kind of change is made, one at a time, and what computes nothing is left alone."""

import ast

import pytest

from tests.mutants import mutants


def changed(source: str) -> list[str]:
    return [one.source for one in mutants(source)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b", ["a <= b", "a >= b", "pass"]),
        ("a <= b", ["a < b", "a > b", "pass"]),
        ("a > b", ["a >= b", "a <= b", "pass"]),
        ("a >= b", ["a > b", "a < b", "pass"]),
        ("a < b < c", ["a <= b < c", "a >= b < c", "a < b <= c", "a < b >= c", "pass"]),
        ("a == b", ["a != b", "pass"]),
        ("a is not b", ["a is b", "pass"]),
        ("a in b", ["a not in b", "pass"]),
        ("a + b", ["a - b", "pass"]),
        ("a // b", ["a * b", "pass"]),
        ("a | b", ["a & b", "pass"]),
        ("a += b", ["a -= b", "pass"]),
        ("a and b", ["a or b", "b", "a", "pass"]),
        ("a or b or c", ["a and b and c", "b or c", "a or c", "a or b", "pass"]),
        ("not a", ["a", "pass"]),
        ("-a", ["a", "pass"]),
        ("a[1]", ["a[2]", "a[0]", "pass"]),
        ("a[0.5]", ["a[1.0]", "a[0.25]", "pass"]),
        ("a[0.0]", ["a[1.0]", "pass"]),
        ("a[True]", ["a[False]", "pass"]),
        ("a['x']", ["a['']", "pass"]),
        ("a['']", ["a['X']", "pass"]),
        ("f'x{a}'", ["f'{a}'", "pass"]),
        ("a.min()", ["a.max()", "pass"]),
        ("any(a)", ["all(a)", "pass"]),
        ("f(a, key=b)", ["f(a)", "pass"]),
        ("f(a, **b)", ["pass"]),
        ("f(flag=True)", ["f(flag=False)", "pass"]),
        ("zip(a, strict=True)", ["pass"]),
        ("a = b", []),
        ("a[b] = c", ["pass"]),
        ("raise a", ["pass"]),
        ("b if a else c", ["b if not a else c", "pass"]),
        ("b if not a else c", ["b if a else c", "pass"]),
        ("b if a < c else d", ["b if a <= c else d", "b if a >= c else d", "pass"]),
        (
            "[a for a in b if c if d]",
            [
                "[a for a in b if d]",
                "[a for a in b if c]",
                "[a for a in b if not c if d]",
                "[a for a in b if c if not d]",
                "pass",
            ],
        ),
        ("{a for a in b if not c}", ["{a for a in b}", "{a for a in b if c}", "pass"]),
        ("assert a < 1", []),
        ("'documentation'", []),
        ("a: int = b", []),
        ("Number = bool | int | None", []),
        ("@decorated(frozen=True)\nclass A(tuple[1]):\n    'documentation'\n    a: Literal[1]", []),
    ],
)
def test_each_kind_of_change(source, expected):
    assert sorted(changed(source)) == sorted(expected)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return a", ["return None"]),
        ("return", []),
        ("return None", []),
        ("if a:\n    b()", ["if not a:\n    b()", "if a:\n    pass"]),
        ("while a:\n    break", ["while not a:\n    break", "while a:\n    continue"]),
        ("for a in b:\n    continue", ["for a in b:\n    break"]),
    ],
)
def test_changes_within_a_function(body, expected):
    def whole(body: str) -> str:
        return ast.unparse(
            ast.parse("def f() -> Literal[1]:\n" + "\n".join(f"    {line}" for line in body.splitlines()))
        )

    assert sorted(changed(whole(body))) == sorted(map(whole, expected))


def test_a_mutant_says_where_it_is_and_what_it_changes():
    source = "def f(a, b):\n    # about it\n    if (a.size > 0\n            and b):\n        return a[0]\n"
    told = [(one.line, tuple(one.lines), one.text, one.change) for one in mutants(source)]
    assert told[0] == (3, (3, 4), "if (a.size > 0", "a.size > 0 and b -> not (a.size > 0 and b)")
    assert (3, (3, 4), "if (a.size > 0", "a.size > 0 and b -> a.size > 1 and b") in told
    assert told[-1] == (5, (5,), "return a[0]", "a[0] -> a[-1]")
    assert len(told) == len(set(told))


def test_what_stands_in_an_f_string_is_told_without_it():
    """Python 3.12 and later put no brackets round it."""
    changes = [one.change for one in mutants("f\"{'a' if b < 1 else 'c'} d\"")]
    assert "'a' if b < 1 else 'c' -> 'a' if b <= 1 else 'c'" in changes


def test_what_is_long_is_told_by_its_parts():
    changes = [one.change for one in mutants(f"f({', '.join('abcdefghijklmnopqrstuvwxyz')}, a_long_name < another)")]
    assert "a_long_name < another -> a_long_name <= another" in changes
    source = f"a_function_of_a_long_name({', '.join(f'argument_{i}' for i in range(20))}, last=a)"
    assert [one.change for one in mutants(source)][1] == "...ment_18, argument_19, last=a) -> ...ment_18, argument_19)"
