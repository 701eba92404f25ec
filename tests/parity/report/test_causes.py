"""What a report says of causes, by hand."""

from parity.judge.verdict import Culprit, Explanation
from parity.report.causes import about_first, causes
from tests.parity import helpers as toy

KEY = toy.agreeing("layers.0.attention.key", error=0.125)
EXPLAINED = Explanation("key-bias-dropped", "the key's bias not loaded", "torch", 2e-16)


def run_of(*culprits: Culprit, replayed=True):
    return toy.run_of(KEY, replayed=(KEY,) if replayed else (), culprits=culprits)


def test_without_a_replay_nothing_is_known():
    assert list(about_first(run_of(replayed=False), KEY.site)) == []


def test_the_cause_is_here_and_has_a_name():
    culprit = Culprit(KEY.site, ("embedding.norm",), KEY, explanations=(EXPLAINED,))
    assert list(about_first(run_of(culprit), KEY.site)) == [
        "  fed the reference's own input this block still differs: the cause is here",
        "  looks like: the key's bias not loaded, in torch (key-bias-dropped; residual after correcting for it: 2e-16)",
    ]
    assert list(causes(run_of(culprit))) == []


def test_the_cause_is_elsewhere_and_has_no_name():
    culprit = Culprit("layers.1.mlp.output", (), KEY, shape=("JAX is 2 x torch",))
    assert list(about_first(run_of(culprit), KEY.site)) == [
        "  fed the reference's own input this block agrees: the cause is at layers.1.mlp.output",
        "  nothing in the catalogue explains it",
        "  JAX is 2 x torch",
    ]


def test_the_cause_is_between_the_blocks():
    assert list(about_first(run_of(), KEY.site)) == [
        "  fed the reference's own input every block agrees: the difference arises between the blocks,",
        "  in the loop over the layers or in what is passed around them",
    ]


def test_many_causes_are_listed_and_then_counted():
    first = Culprit("layers.0.attention.key", ("embedding.norm",), KEY, explanations=(EXPLAINED,))
    others = [Culprit(f"layers.{n}.mlp.up", (), KEY) for n in range(1, 14)]
    lines = list(causes(run_of(first, *others)))
    assert lines[0] == "differences are made at 14 places; all others have inherited theirs"
    assert lines[1].startswith("  layers.0.attention.key  between embedding.norm and it")
    assert lines[1].endswith("error 1.2e-01  key-bias-dropped")
    assert lines[2].split()[1:] == ["from", "inputs", "and", "parameters", "error", "1.2e-01", "-"]
    assert lines[-1] == "  and 2 more"
    assert len(lines) == 14
