"""transformers is the oracle, one that we did not write: every class of every family, with everything random."""

import dataclasses
import re

import numpy as np
import pytest
import torch
import transformers

from jax_encoder.huggingface.carry import carry_out
from jax_encoder.huggingface.families import FAMILIES
from parity import cli
from parity.cases.case import make_case
from parity.encoder.variants import sizes_of
from parity.errors import MismatchError, UsageError
from parity.judge.check import check
from parity.judge.verdict import Verdict
from parity.published.form import Published
from parity.published.inputs import CASES, Inputs
from parity.published.pair import Pair
from parity.published.subject import PublishedSubject, subject
from parity.report.text import headline
from tests.jax_encoder.huggingface.helpers import save_with_transformers

pytestmark = pytest.mark.usefixtures("shapes_unchecked")

# Each class on one case, in turn, so that every case is run several times; the command runs them all.
T5_DECODES = ("ConditionalGeneration", "QuestionAnswering", "SequenceClassification")
RUNS = [(name, CASES[index % len(CASES)]) for index, name in enumerate(PublishedSubject().variants())]
FAST = ("BertForMaskedLM",)


@pytest.mark.parametrize(
    ("name", "case"), [run if run[0] in FAST else pytest.param(*run, marks=pytest.mark.slow) for run in RUNS]
)
def test_every_class_computes_the_same_function(name, case):
    report = check(PublishedSubject(), variants=[name], cases=[case])
    assert report.verdict is Verdict.PASS, headline(report)
    worst = max(comparison.error for run in report.runs for comparison in run.comparisons)
    assert worst < 1e-11
    sites = {comparison.site.split(".")[0] for run in report.runs for comparison in run.comparisons}
    assert {"hidden", "projection"} <= sites
    assert any(site.startswith("d(projection)/d(encoder") for site in sites)


def test_every_class_of_these_families_is_among_them_but_for_two_kinds():
    known = {name for name, _ in RUNS}
    families = {family.classes[0] for family in FAMILIES.values() if family.reference is None}
    theirs = [
        name for name in dir(transformers) if re.fullmatch(rf"({'|'.join(families)})(Model|EncoderModel|For\w+)", name)
    ]
    left_out = {name for name in theirs if name not in known}
    # With a decoder, or an encoder of another form than the family's.
    decoding = {name for name in left_out if name.startswith("T5")}
    assert decoding == {f"T5{end}" for end in ("Model", *(f"For{task}" for task in T5_DECODES))}
    # Rows of several texts; a mask to the left.
    ends = {re.sub(r".*?For", "For", name) for name in left_out - decoding}
    assert ends == {"ForMultipleChoice", "ForCausalLM", "ForProteinFolding"}
    unvouched = {name for name in known if name not in theirs}
    assert unvouched == {
        f"{family.classes[0]}{task}" for family in FAMILIES.values() if family.reference for task in family.heads
    }


def test_what_transformers_cannot_vouch_for_is_said(tmp_path):
    assert "reference of jina-bert" not in subject(("bert",)).environment()
    said = subject(("jina-bert",)).environment()["reference of jina-bert"]
    assert said == "its authors' formula, on transformers' BERT"
    save_with_transformers("JinaBertModel", "bert", tmp_path)
    with pytest.raises(
        UsageError, match=r"no class for .*, a JinaBertModel: leave out --model, and --family jina-bert "
    ):
        subject(model=str(tmp_path))


def test_packed_documents_are_given_to_the_oracle_one_by_one():
    published = Published.draw("bert", "ForMaskedLM", 0)
    case = make_case("packed", sizes_of(published.config))
    inputs = Inputs.of(case, published.config, pad=3, num_labels=7)
    assert inputs.packed
    assert len(inputs.alone.tokens) == len(
        {*map(tuple, np.stack([inputs.alone.rows, case.segments_BT[inputs.alone.rows, inputs.alone.columns]], axis=1))}
    )
    assert (
        inputs.alone.tokens[inputs.alone.valid] == inputs.case.tokens_BT[inputs.alone.rows, inputs.alone.columns]
    ).all()
    assert (inputs.alone.positions[:, 0] == 0).all()


def test_no_document_is_nothing_but_a_dropped_token():
    published = Published.draw("esm", "Model", 0)
    dropped = published.config.dropped_token
    case = make_case("one-token", sizes_of(published.config))
    case = dataclasses.replace(case, tokens_BT=np.full_like(case.tokens_BT, dropped))
    inputs = Inputs.of(case, published.config, pad=1, num_labels=7)
    assert (inputs.case.tokens_BT[inputs.valid_BT] == 0).all()
    case.tokens_BT[:, 0] = 7
    mixed = Inputs.of(case, published.config, pad=1, num_labels=7).case.tokens_BT
    assert (mixed == dropped).sum(axis=1).max() > 1


@pytest.mark.parametrize(
    ("change", "site"),
    [
        (lambda model: model.bert.encoder.layer[1].attention.self.key.bias.data.zero_(), "weights.1"),
        (lambda model: setattr(model.bert.embeddings.LayerNorm, "eps", 1e-3), "hidden.0"),
        (lambda model: model.cls.predictions.bias.data.zero_(), "logits"),
    ],
    ids=["key bias", "epsilon", "decoder bias"],
)
def test_another_function_is_found(change, site):
    """A key's bias alone changes no weight: it shows in what is derived from it, hence the query's bias beside it."""
    pair = Pair.draw(Published.draw("bert", "ForMaskedLM", 0))
    with torch.no_grad():
        change(pair.model)
        if site == "weights.1":
            pair.model.bert.encoder.layer[1].attention.self.query.bias.zero_()
    trace = pair(make_case("ragged", sizes_of(pair.published.config)))
    first = next(
        ours.name
        for part in trace.parts
        for ours, theirs in zip(part.actual, part.expected, strict=True)
        if np.abs(ours.value - theirs.value).max() > 1e-9
    )
    assert first == {"weights.1": "hidden.2"}.get(site, site)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda name, tensor: None, r"DistilBertModel has no weight for \['transformer\.layer\.1\.ffn"),
        (lambda name, tensor: (name + "x", tensor), r"lin1\.bias'\], and none like \['transformer\..*lin1\.biasx'\]"),
        (lambda name, tensor: (name, tensor[1:]), "size mismatch for transformer.layer.1.ffn.lin1.bias"),
    ],
    ids=["missing", "misnamed", "misshapen"],
)
def test_weights_that_do_not_fit_are_refused(change, said, monkeypatch):
    def changed(*arguments):
        tensors = carry_out(*arguments)
        name = next(name for name in tensors if name.endswith("layer.1.ffn.lin1.bias"))
        found = change(name, tensors.pop(name))
        return tensors if found is None else tensors | {found[0]: found[1]}

    monkeypatch.setattr("parity.published.pair.carry_out", changed)
    with pytest.raises(MismatchError, match=said):
        Pair.draw(Published.draw("distilbert", "Model", 0))


def test_what_transformers_cannot_run_is_an_error(monkeypatch):
    def answer(*arguments):
        raise IndexError("index out of range in self")

    monkeypatch.setattr("parity.published.oracle.answer", answer)
    report = check(PublishedSubject(), variants=["DistilBertModel"], cases=["ragged"])
    assert report.verdict is Verdict.ERROR
    assert "torch raised IndexError: index out of range in self" in headline(report)


def test_rounding_is_not_measured_here(capsys):
    assert cli.main(["check", "--against", "transformers", "--dtype", "float32"]) == 2
    assert "leave out --against transformers" in capsys.readouterr().err


def test_names_and_options(capsys):
    with pytest.raises(UsageError, match="no family is called gpt; there are: bert, roberta"):
        subject(("gpt",))
    assert cli.main(["check", "--family", "bert"]) == 2
    assert "add --against transformers" in capsys.readouterr().err
    assert cli.main(["check", "--against", "transformers", "--family", "mpnet", "--list"]) == 0
    assert capsys.readouterr().out.startswith("5 variants of jax_encoder against transformers:\n  MPNetModel\n")
    assert cli.main(["check", "--against", "transformers", "--case", "nan-padding"]) == 2
    assert "no case is called nan-padding" in capsys.readouterr().err


def test_command_line(capsys):
    arguments = ["--against", "transformers", "--config", "DistilBertModel", "--case", "ragged", "--seed", "3"]
    assert cli.main(["check", *arguments]) == 0
    assert capsys.readouterr().out.startswith("parity PASS: 1 variant x 1 case, ")
