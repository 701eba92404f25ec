"""What is compared with what in a handful of small masks, by which share of the chance, and how it is told."""

import numpy as np
import pytest

from parity.judge import chance
from parity.judge.draws import MISTAKES, Drawn, judge_draws, share
from parity.judge.verdict import Explanation, Run

EACH_AXIS = {"step": 2, "row": 8, "head": 4, "query": 16, "key": 32}


def drawn(place: str = "x", rate: float = 0.5, seed: int = 0, **axes: int) -> Drawn:
    """Sound masks of some axes; a micro-batch is spelt with an underscore."""
    names = tuple(axis.replace("_", "-") for axis in axes)
    return Drawn(place, rate, names, np.random.default_rng(seed).random(tuple(axes.values())) < rate)


def with_rate(one: Drawn, rate: float) -> Drawn:
    """Masks that are said to be of another rate."""
    return one._replace(rate=rate)


def judged(*places: Drawn) -> Run:
    return judge_draws("post", "draws", places)


def told(run: Run) -> dict[str, tuple[str, ...]]:
    return {one.site: one.shape for one in run.culprits}


def error(run: Run, site: str) -> float:
    return next(one.error for one in run.comparisons if one.site == site)


@pytest.mark.parametrize(("axis", "word"), [("head", "heads"), ("query", "queries"), ("key", "keys")])
def test_masks_of_attention_have_axes_of_their_own(axis, word):
    one = drawn(**EACH_AXIS)
    index = list(EACH_AXIS).index(axis)
    alike = one._replace(dropped=one.dropped.take([0] * EACH_AXIS[axis], axis=index))
    (culprit,) = judged(alike).culprits
    assert culprit.site == f"draws.x.{word}"
    (named,) = culprit.explanations
    assert named.bug == f"draws-{word}-alike"
    assert named.mistake.startswith(f"every {axis} drops the same ({word} ")


def test_every_mistake_is_told_in_words_of_its_own():
    assert all(MISTAKES.values())
    assert len(set(MISTAKES.values())) == len(MISTAKES)


def test_every_comparison_has_an_equal_share_of_the_chance():
    places = drawn("x", step=2, row=8, channel=64), drawn("y", seed=1, step=2, layer=3, row=8, channel=64)
    assert share(places) == chance.FALSE_ALARM / len(judged(*places).comparisons)


def test_layers_and_distances_divide_the_share_of_their_comparison():
    one = drawn(layer=3, row=8, channel=64)
    each, run = share([one]), judged(one)
    rows = [chance.alike(layer, each / 3).excess for layer in one.dropped]
    assert error(run, "draws.x.rows") == max(rows)
    halves = [
        mask.ravel()[: 512 // (2 * distance) * 2 * distance].reshape(-1, 2, distance).swapaxes(0, 1).reshape(2, -1)
        for mask in one.dropped
        for distance in (1, 2, 4, 8, 16, 32, 64, 128, 256)
    ]
    assert error(run, "draws.x.neighbours") == max(chance.alike(both, each / len(halves)).excess for both in halves)


def test_the_second_half_of_a_mask_may_repeat_the_first():
    one = drawn(step=4, row=64, channel=65)
    flat = one.dropped.reshape(4, -1)
    flat[:, 2048:4096] = flat[:, :2048]
    run = judged(one)
    assert told(run) == {
        "draws.x.neighbours": ("values 2,048 entries apart: correlation 1.0000; 1 of 12 pairs beyond chance",)
    }
    assert run.culprits[0].comparison.expected == 0


def test_pairs_are_counted_in_thousands():
    one = drawn(row=48, channel=256)
    alike = one._replace(dropped=np.broadcast_to(one.dropped[:1], one.dropped.shape).copy())
    assert told(judged(alike)) == {
        "draws.x.rows": ("rows 0 and 1: correlation 1.0000; 1,128 of 1,128 pairs beyond chance",)
    }


def test_a_failure_leaves_nothing_unfit():
    one = drawn(rate=0.5, step=2, row=32, position=64, channel=64)
    alike = one._replace(dropped=one.dropped[[0, 0]])
    run = judged(alike)
    assert list(told(run)) == ["draws.x.steps"]
    assert all(reason.endswith("x.rate") for reason in run.inadequate)


def test_places_outside_of_the_layers_have_no_layer_in_their_name():
    outside, inside = drawn("x", row=8, channel=512), drawn("y", seed=1, layer=1, row=8, channel=512)
    same = inside._replace(dropped=outside.dropped[None].copy())
    assert told(judged(outside, same)) == {
        "draws.sites": ("x () and y (layer 0): correlation 1.0000; 1 of 1 pairs beyond chance",)
    }


def test_sites_are_compared_where_all_else_is_the_same():
    one, other = (drawn(place, seed=seed, step=2, row=8, channel=512) for seed, place in enumerate("xy"))
    run = judged(one, other._replace(dropped=one.dropped.copy()))
    crossed = judged(one, other._replace(dropped=one.dropped[::-1].copy()))
    for found, site in ((run, "draws.sites"), (crossed, "draws.masks")):
        assert list(told(found)) == [site]
        assert told(found)[site][0].endswith(": correlation 1.0000; 2 of 2 pairs beyond chance")


def test_masks_of_one_place_are_compared_where_two_things_differ():
    one, other = (drawn(place, seed=seed, step=2, micro_batch=2, row=8, channel=512) for seed, place in enumerate("xy"))
    one.dropped[1, 1] = one.dropped[0, 0]
    assert told(judged(one, other)) == {
        "draws.masks": (
            "x (step 0, micro-batch 0) and x (step 1, micro-batch 1): "
            "correlation 1.0000; 1 of 16 pairs beyond chance",  # 2 x 2 of one place each, 12 of both
        )
    }


def test_how_far_a_rate_is_told_from_others():
    run = judged(drawn(row=64, channel=64))
    least = chance.resolution(4096, 0.5, share([drawn(row=64, channel=64)]))
    assert run.inadequate[-1] == (
        f"4,096 values tell the rate only from one that is off by {100 * least:.1f}% or more: draws.x.rate"
    )


def test_names_of_a_wrong_rate_stand_in_the_order_in_which_they_fit():
    few = {"row": 64, "channel": 128}
    wrong, other = with_rate(drawn("x", 0.7, **few), 0.3), drawn("y", 0.715, seed=1, **few)
    (culprit,) = judged(wrong, other).culprits
    found = float(wrong.dropped.mean())
    said = f"{found:.4f} of 8,192 values are dropped, where the rate is 0.3"
    assert culprit.shape == (said,)
    assert culprit.explanations == (
        Explanation("draws-rate-swapped", f"the rate is that of keeping: {said}", "JAX", abs(found - 0.7)),
        Explanation("draws-rate-elsewhere", f"the rate is another site's: {said}", "JAX", abs(found - 0.715)),
    )
