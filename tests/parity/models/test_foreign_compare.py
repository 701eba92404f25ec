"""Published models beside ports of them: sound, forward and backward."""

import pytest

import parity
from parity.judge.verdict import Verdict
from tests.parity.models import ports


@pytest.mark.parametrize("pair", [ports.bert_pair, ports.distil_pair], ids=["function", "linen"])
def test_sound_ports_pass_forward_and_backward(pair):
    report = parity.compare(*pair(), ports.inputs(), backward=True)
    assert report.verdict is Verdict.PASS
    assert not report.problems
    ours, theirs = report.cases[0].sides
    assert theirs.coverage.matched > 0.9 * theirs.coverage.operations
    assert ours.coverage.matched > 0.5 * ours.coverage.operations


def test_the_padding_of_an_embedding_gets_no_gradient_in_torch():
    forward = parity.compare(*ports.roberta_pair(), ports.inputs())
    assert forward.verdict is Verdict.PASS
    report = parity.compare(*ports.roberta_pair(), ports.inputs(), backward=True)
    assert report.verdict is Verdict.FAIL_SEMANTIC
    causes = [one.causes for one in report.cases[0].partings]
    assert causes == [("torch gives row 1 of a table no gradient (padding_idx)",)] * 2


def test_a_reference_against_itself_meets_at_every_operation():
    model = ports.bert()
    report = parity.compare(parity.torch(model), parity.torch(ports.bert()), ports.inputs(), backward=True)
    assert report.verdict is Verdict.PASS
    assert all(side.coverage.matched == side.coverage.operations for side in report.cases[0].sides)
    assert not any(side.detours for side in report.cases[0].sides)


def test_attention_that_is_one_call_is_opened():
    model = ports.bert()
    model.set_attn_implementation("sdpa")
    report = parity.compare(ports.bert_pair()[0], parity.torch(model), ports.inputs())
    assert report.verdict is Verdict.PASS
    assert report.cases[0].sides[1].coverage.matched > 80
