"""`python -m parity compare FILE`."""

import pytest

from parity.cli import main

PAIR = """
import numpy as np
import parity

def pair():
    x = np.random.default_rng(0).normal(size=(3, 4))
    return parity.torch(lambda x: x{ours}), parity.torch(lambda x: x * 2), {{"x": x}}
"""


@pytest.mark.parametrize(
    ("ours", "status", "verdict"), [("+ x", 0, "PASS"), ("+ 1", 1, "FAIL semantic"), (".no", 3, "ERROR")]
)
def test_a_file_with_a_pair(tmp_path, capsys, ours, status, verdict):
    file = tmp_path / "my_pair.py"
    file.write_text(PAIR.format(ours=ours))
    assert main(["compare", str(file), "--html", str(tmp_path / "page.html"), "--backward"]) == status
    assert capsys.readouterr().out.startswith(f"parity {verdict}")
    assert f"parity {verdict}" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "there is no file"),
        ("x = 1", "has no function pair()"),
        ("def pair(): return 1", "must return ours, theirs and the inputs, got int"),
    ],
)
def test_a_file_without_one_is_refused(tmp_path, capsys, source, message):
    file = tmp_path / "my_pair.py"
    if source is not None:
        file.write_text(source)
    assert main(["compare", str(file)]) == 2
    assert message in capsys.readouterr().err
