"""Folders that transformers reads otherwise than their tokenizer.json says: what is found, what is said."""

import json

import pytest

from parity.judge.verdict import Report, Verdict
from parity.report.text import render
from tests.parity.text.helpers import change, copied, report, written

FAST = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
}


def first(found: Report) -> tuple[str, str]:
    """The first mistake that is named, and on which side."""
    run = next(run for run in found.runs if run.first_to_differ is not None)
    explanation = run.culprits[0].explanations[0]
    return explanation.bug, explanation.side


def told(found: Report) -> str:
    """What is said of how the folder is read."""
    (setting,) = [one for one in found.preflight if one.name == "text is read by"]
    return setting.warning


@pytest.mark.slow
def test_a_cased_file_beside_a_config_that_lower_cases(tmp_path):
    folder = copied("bert-cased", tmp_path)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    del config["do_lower_case"]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    found = report(folder)
    assert found.verdict is Verdict.FAIL_SEMANTIC
    assert first(found) == ("text-lower-cased", "torch")
    assert told(found).startswith(
        "BertTokenizer reads this folder otherwise than its tokenizer.json says, first the text "
    )
    assert "from tokenizer_config.json: lower case, unless do_lower_case is false. We follow tokenizer.json" in told(
        found
    )
    lines = render(found).splitlines()
    assert lines[0].startswith("parity FAIL semantic at ids, ")
    assert lines[1].startswith("  text ")
    assert [line.split()[0] for line in lines[2:4]] == ["JAX", "torch"]
    assert "  looks like: the text is lower-cased, in torch (text-lower-cased; " in "\n".join(lines)


def test_a_file_without_a_post_processor(tmp_path):
    """Whichever of the two we follow is said; nothing is read otherwise in silence."""
    folder = copied("bert-cased", tmp_path)
    change(folder / "tokenizer.json", post_processor=None)
    found = report(folder)
    assert "its class puts special tokens around every text, whatever tokenizer.json says" in told(found)
    if found.verdict is Verdict.PASS:
        assert told(found).endswith(
            "We follow BertTokenizer: vectors made with the libraries are what ours are compared with"
        )
    else:
        assert first(found) == ("text-no-frame", "JAX")


@pytest.mark.slow
def test_special_tokens_that_the_file_does_not_mark(tmp_path):
    folder = copied("metaspace", tmp_path)
    change(folder / "tokenizer.json", added_tokens=[])
    change(folder / "tokenizer_config.json", **FAST)
    found = report(folder)
    assert "it marks the special tokens that its class or tokenizer_config.json names" in told(found)
    if found.verdict is not Verdict.PASS:
        assert first(found) == ("text-special-spelled", "JAX")


def test_a_file_that_says_nothing_of_two_texts(tmp_path):
    folder = copied("bert-cased", tmp_path)
    frame = json.loads((folder / "tokenizer.json").read_text())["post_processor"]
    pair = [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}]
    change(folder / "tokenizer.json", post_processor=frame | {"pair": pair})
    found = report(folder)
    assert found.verdict is Verdict.PASS, render(found)
    assert not {"pairs", "pairs-limit"} & {run.case for run in found.runs}
    (setting,) = [one for one in found.preflight if one.name == "two texts"]
    assert setting.warning.endswith(
        "puts special tokens around a text and says nothing of two: no two texts were compared"
    )
    assert not [run.case for run in report(written("bert-cased")).runs if run.inadequate]


def test_types_that_the_class_does_not_hand_on(tmp_path):
    folder = copied("albert", tmp_path)
    change(folder / "tokenizer_config.json", model_input_names=["input_ids", "attention_mask"])
    found = report(folder)
    assert first(found) == ("text-types-flat", "torch")
    assert "it hands no token types on, for model_input_names does not list them. We follow tokenizer.json" in told(
        found
    )


def test_rows_that_are_padded_on_the_left(tmp_path):
    """Where positions count columns that is another function; where they count tokens it reaches nothing."""
    folder = copied("bert-cased", tmp_path)
    change(folder / "tokenizer_config.json", padding_side="left")
    assert first(report(folder)) == ("text-pad-side", "JAX")
    folder = copied("roberta-left", tmp_path)
    change(folder / "tokenizer_config.json", padding_side="left")
    found = report(folder, computed=8)
    assert found.verdict is Verdict.PASS, render(found)
    assert {run.inert for run in found.runs} == {("mask",), ()}
    assert sum(bool(run.inert) for run in found.runs) > 8


@pytest.mark.parametrize("name", ["max_seq_length", pytest.param("model_max_length", marks=pytest.mark.slow)])
def test_two_limits_in_one_folder(name, tmp_path):
    folder = copied("bert-uncased", tmp_path)
    place = "sentence_bert_config.json" if name == "max_seq_length" else "tokenizer_config.json"
    change(folder / place, **{name: 16})
    found = report(folder)
    assert found.verdict is Verdict.PASS, render(found)
    limit = next(one for one in found.preflight if one.name == "tokens of a text, at most")
    assert limit.jax == limit.torch == {"max_seq_length": "16", "model_max_length": "24"}[name]


def test_a_folder_that_names_no_limit(tmp_path):
    folder = copied("bert-cased", tmp_path)
    change(folder / "tokenizer_config.json", model_max_length=10**30)
    limit = next(one for one in report(folder).preflight if one.name == "tokens of a text, at most")
    assert limit.jax == limit.torch == "40"
    assert limit.warning.startswith(
        "transformers would cut no text, where its encoder has 40 positions and fails with "
    )


def test_nothing_is_said_of_a_folder_that_is_read_by_its_file():
    assert told(report(written("bert-cased"))) == ""
