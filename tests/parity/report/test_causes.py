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


def test_two_names_that_explain_equally_well_are_both_said():
    second = EXPLAINED._replace(bug="bias-zero", mistake="a bias that was never loaded", residual=3e-16)
    explanations = (EXPLAINED, second, *[second._replace(bug=f"{n}") for n in range(3)])
    found = {
        count: list(about_first(run_of(Culprit(KEY.site, (), KEY, explanations=explanations[:count])), KEY.site))[1]
        for count in (2, 5)
    }
    names = (
        "  looks like: the key's bias not loaded, in torch (key-bias-dropped), "
        "or a bias that was never loaded, in torch (bias-zero)"
    )
    assert found[2] == f"{names}: both explain it exactly"
    assert found[5] == f"{names}, or a bias that was never loaded, in torch (0), or 2 more: all 5 explain it exactly"


BETWEEN = "  fed the reference's own input every block agrees: the difference arises between the blocks,"


def test_the_cause_is_between_the_blocks():
    before = toy.agreeing("layers.0.attention.query")
    run = toy.run_of(before, KEY, replayed=(before, KEY))
    around = "in the loop over the layers or in what is passed around them"
    between = "  between layers.0.attention.query and layers.0.attention.key"
    assert list(about_first(run, KEY.site)) == [BETWEEN, f"{between}, {around}"]
    assert list(about_first(run_of(), KEY.site)) == [BETWEEN, f"  before layers.0.attention.key, {around}"]
    pool = toy.agreeing("mean_pool", error=0.5)
    run = toy.run_of(before, pool, replayed=(before, pool))
    assert list(about_first(run, "mean_pool")) == [BETWEEN, "  between layers.0.attention.query and mean_pool"]


def test_a_loss_is_called_one():
    """The loss as training has it is another program's: no layer is to blame, and no loop over them."""
    before, loss = toy.agreeing("output"), toy.agreeing("trained", error=0.5)
    run = toy.run_of(before, loss, toy.agreeing("d(trained)/d(head.bias)", error=0.5), replayed=(before,))
    assert list(about_first(run, "trained")) == [
        "  it is a loss, and no block before it differs: the difference is made in how the loss is computed"
    ]


def test_what_was_not_computed_again_is_not_said_to_agree():
    run = toy.run_of(toy.agreeing("output"), toy.agreeing("d(trained)/d(head.bias)", error=0.5), replayed=(KEY,))
    assert list(about_first(run, "d(trained)/d(head.bias)")) == [
        "  it was not computed again from the reference's own input, so no more is known of the cause"
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
