"""What `make figures` writes into the README."""

import pytest

from docs import figures

OUTPUT = """step 2/2  loss 5.011
╭─ training complete ───────╮
│                           │
│   on 19 tokens      loss  │
│   ──────────────────────  │
│   this encoder     4.773  │
│                           │
│  steps    2, 20 tokens    │
│  parity   parity PASS: 1  │
│           variant         │
│  folder   runs/mine       │
│  numbers  runs/mine/x     │
╰───────────────────────────╯
"""


def test_the_screen_has_no_frame_and_no_paths():
    assert figures.screen(OUTPUT) == "\n".join(
        [
            " on 19 tokens      loss",
            " ──────────────────────",
            " this encoder     4.773",
            "",
            "steps    2, 20 tokens",
            "parity   parity PASS: 1",
            "         variant",
        ]
    )


def test_a_long_headline_is_cut_into_lines():
    words = " ".join(["worst"] * 30)
    found = figures.headline(f"{words}\nand more\n").splitlines()
    assert len(found) == 2
    assert all(len(line) <= 116 for line in found)
    assert " ".join(line.strip() for line in found) == words


def test_a_figure_goes_between_its_marks():
    page = "a\n<!-- one: begin -->\nold\n<!-- one: end -->\n<!-- two: begin -->\nkept\n<!-- two: end -->\n"
    new = figures.written_into(page, "one", "new \\1")
    assert new == page.replace("old", "new \\1")
    with pytest.raises(
        ValueError, match="expected <!-- three: begin --> and <!-- three: end --> once, found them 0 times"
    ):
        figures.written_into(page, "three", "")


def test_the_readme_has_a_place_for_every_figure():
    page = figures.README.read_text(encoding="utf-8")
    for name in figures.FIGURES:
        assert figures.written_into(page, name, "") != page


def test_an_unknown_figure_is_refused(capsys):
    assert figures.main(["make trian"]) == 2
    assert capsys.readouterr().err == "no figure is called make trian; there are: make train, parity check\n"
