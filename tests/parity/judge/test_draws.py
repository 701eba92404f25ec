"""Draws that are sound agree; every way in which they are not has its own site, and mostly its name."""

import re

import numpy as np
import pytest

from parity.judge.draws import MISTAKES, Drawn, judge_draws
from parity.judge.verdict import Report, Run, Verdict

AXES = ("step", "micro-batch", "layer", "row", "position", "channel")
SIZES = (4, 2, 2, 32, 64, 64)  # one layer of them tells a rate of 0.5 from one that is a hundredth of it away
STEP, PART, LAYER, ROW, POSITION, CHANNEL = range(6)


def drawn(place: str = "mlp", rate: float = 0.5, seed: int = 0, sizes: tuple[int, ...] = SIZES) -> Drawn:
    return Drawn(place, rate, AXES, np.random.default_rng(seed).random(sizes) < rate)


@pytest.fixture(scope="module")
def sound() -> tuple[Drawn, Drawn]:
    embedding = np.random.default_rng(1).random((4, 2, 32, 64, 64)) < 0.6
    return Drawn("embedding", 0.6, (*AXES[:2], *AXES[3:]), embedding), drawn()


def changed(one: Drawn, function) -> Drawn:
    dropped = one.dropped.copy()
    function(dropped)
    return one._replace(dropped=dropped)


def judged(*places: Drawn) -> Run:
    return judge_draws("post", "draws", places)


def culprits(run: Run) -> dict[str, list[str]]:
    return {one.site: [explanation.bug for explanation in one.explanations] for one in run.culprits}


def test_sound_draws_agree_at_every_site(sound):
    run = judged(*sound)
    assert (run.variant, run.case) == ("post", "draws")
    assert [one.site for one in run.comparisons] == [
        *(
            f"draws.embedding.{what}"
            for what in ("steps", "micro_batches", "rows", "positions", "channels", "neighbours")
        ),
        *(f"draws.mlp.{what}" for what in ("steps", "micro_batches", "layers", "rows", "positions", "channels")),
        "draws.mlp.neighbours",
        "draws.sites",
        "draws.masks",
        "draws.embedding.rate",
        "draws.layers.0.mlp.rate",
        "draws.layers.1.mlp.rate",
    ]
    assert all(one.agrees and one.by_chance for one in run.comparisons)
    assert run.culprits == run.inadequate == ()
    assert Report("toy", 1e-10, {}, (run,)).verdict is Verdict.PASS
    rate = run.comparisons[-3]
    assert (rate.expected, rate.compared) == (0.6, 4 * 2 * 32 * 64 * 64)
    assert rate.actual == pytest.approx(0.6, abs=0.002)


def test_the_same_draws_give_the_same_run(sound):
    assert judged(*sound) == judged(*sound)


@pytest.mark.parametrize(
    ("axis", "site"),
    [
        (STEP, "draws.mlp.steps"),
        (PART, "draws.mlp.micro_batches"),
        (LAYER, "draws.mlp.layers"),
        (ROW, "draws.mlp.rows"),
        (POSITION, "draws.mlp.positions"),
        (CHANNEL, "draws.mlp.channels"),
    ],
)
def test_one_slice_for_all_is_found_and_nothing_else_is_blamed(sound, axis, site):
    embedding, mlp = sound
    alike = mlp._replace(dropped=np.broadcast_to(mlp.dropped.take([0], axis=axis), mlp.dropped.shape).copy())
    run = judged(embedding, alike)
    name = f"draws-{site.split('.')[-1].replace('_', '-')}-alike"
    assert culprits(run) == {site: [name]}
    (culprit,) = run.culprits
    assert culprit.explanations[0].side == "JAX"
    assert culprit.explanations[0].residual == 0
    assert culprit.explanations[0].mistake.startswith(f"{MISTAKES[name]} (")
    assert culprit.comparison.actual == pytest.approx(1)


def test_two_rows_of_many_are_enough(sound):
    run = judged(
        sound[0], changed(sound[1], lambda dropped: dropped[:, :, :, 17].__setitem__(..., dropped[:, :, :, 3]))
    )
    assert culprits(run) == {"draws.mlp.rows": ["draws-rows-alike"]}
    (said,) = run.culprits[0].shape
    assert re.fullmatch(r"rows 3 and 17 of layer [01]: correlation 1\.0000; 2 of 992 pairs beyond chance", said)
    assert run.culprits[0].explanations[0].mistake == f"more than one row drops the same ({said})"


def test_two_mistakes_are_both_told(sound):
    both = changed(sound[1], lambda dropped: dropped.__setitem__(..., dropped[:, :, :1, :1]))
    assert culprits(judged(sound[0], both)) == {
        "draws.mlp.layers": ["draws-layers-alike"],
        "draws.mlp.rows": ["draws-rows-alike"],
    }


def test_what_repeats_along_no_axis_is_a_neighbour(sound):
    def repeat(dropped):
        flat = dropped.reshape(4 * 2 * 2, 1, -1)
        odd = 64 * 64 + 64 + 1  # another row, position and channel
        flat[:, :, odd:] = flat[:, :, :-odd].copy()

    assert culprits(judged(sound[0], changed(sound[1], repeat))) == {}, "the docstring says so: another offset"

    def repeat_by_a_power_of_two(dropped):
        for mask in dropped.reshape(16, -1):
            size = mask.size // 8192 * 8192
            blocks = mask[:size].reshape(-1, 2, 4096)
            blocks[:, 1] = blocks[:, 0]

    odd = drawn(sizes=(4, 2, 2, 32, 63, 65))
    assert culprits(judged(sound[0], changed(odd, repeat_by_a_power_of_two))) == {
        "draws.mlp.neighbours": ["draws-neighbours-alike"]
    }


def test_places_that_share_a_mask(sound):
    other = sound[1]._replace(place="attention")
    run = judged(*sound, other)
    assert culprits(run) == {"draws.sites": ["draws-sites-alike"]}
    assert "attention (step " in run.culprits[0].shape[0]


def test_places_of_another_shape_that_are_drawn_from_the_same_bits():
    bits = np.random.default_rng(2).random((4, 2, 2, 64 * 64 * 64))
    wide = Drawn("wide", 0.5, AXES, (bits < 0.5).reshape(4, 2, 2, 64, 64, 64))
    narrow = Drawn("narrow", 0.3, AXES, (bits[..., : 64 * 64 * 63] < 0.3).reshape(4, 2, 2, 64, 64, 63))
    assert culprits(judged(wide, narrow)) == {"draws.sites": ["draws-sites-alike"]}


def test_two_masks_that_share_no_coordinate(sound):
    run = judged(sound[0], changed(sound[1], lambda dropped: dropped[3, 0, 1].__setitem__(..., dropped[1, 1, 0])))
    assert culprits(run) == {"draws.masks": ["draws-masks-alike"]}
    assert (
        run.culprits[0]
        .shape[0]
        .startswith(
            "mlp (step 1, micro-batch 1, layer 0) and mlp (step 3, micro-batch 0, layer 1): correlation 1.0000; 1 of "
        )
    )


@pytest.mark.parametrize("off", [0.99, 1.01])
def test_a_rate_off_by_a_hundredth_is_found_and_has_no_name(sound, off):
    wrong = drawn(rate=0.5 * off, seed=3)._replace(rate=0.5)
    run = judged(sound[0], wrong)
    assert culprits(run) == {"draws.layers.0.mlp.rate": [], "draws.layers.1.mlp.rate": []}
    assert run.culprits[0].shape[0].endswith(" of 1,048,576 values are dropped, where the rate is 0.5")


@pytest.mark.parametrize(
    ("rate", "name"),
    [
        (0.0, "draws-nothing"),
        (0.7, "draws-rate-swapped"),
        (0.51, "draws-rate-twice"),
        (0.6, "draws-rate-elsewhere"),
    ],
)
def test_rates_with_a_name(sound, rate, name):
    run = judged(sound[0], drawn(rate=rate)._replace(rate=0.3))
    assert culprits(run) == {f"draws.layers.{layer}.mlp.rate": [name] for layer in (0, 1)}


def test_only_one_layer_at_the_wrong_rate(sound):
    wrong = changed(
        sound[1],
        lambda dropped: dropped[:, :, 1].__setitem__(
            ..., np.random.default_rng(5).random(dropped[:, :, 1].shape) < 0.4
        ),
    )
    assert culprits(judged(sound[0], wrong)) == {"draws.layers.1.mlp.rate": []}


def test_opposites_are_found_and_have_no_name(sound):
    run = judged(sound[0], changed(sound[1], lambda dropped: dropped[:, :, 1].__setitem__(..., ~dropped[:, :, 0])))
    assert culprits(run) == {"draws.mlp.layers": []}
    assert run.culprits[0].shape == ("layers 0 and 1: correlation -1.0000; 1 of 1 pairs beyond chance",)


def test_draws_that_are_too_few_are_no_proof():
    run = judged(drawn(sizes=(2, 1, 2, 4, 5, 6)))
    assert all(one.agrees for one in run.comparisons)
    assert "too little is dropped for draws.mlp.rows to show two that are the same" in run.inadequate
    assert any(
        reason.startswith("240 values tell the rate only from one that is off by ")
        and reason.endswith(" or more: draws.layers.0.mlp.rate")
        for reason in run.inadequate
    )
    assert Report("toy", 1e-10, {}, (run,)).verdict is Verdict.VACUOUS


def test_a_failure_outweighs_what_is_too_few():
    run = judged(drawn(sizes=(2, 1, 2, 4, 50, 60), rate=0.3)._replace(rate=0.7))
    assert Report("toy", 1e-10, {}, (run,)).verdict is Verdict.FAIL_SEMANTIC


def test_numbers_that_repeat_by_chance_are_no_alarm():
    alarms = [seed for seed in range(20) if judged(drawn(seed=seed, sizes=(4, 2, 2, 8, 16, 16))).culprits]
    assert alarms == []


def test_fields_of_a_comparison_are_those_of_booleans(sound):
    for one in judged(*sound).comparisons:
        assert (one.dtype, one.scale, one.spread, one.worst_index, one.problem) == ("bool", 1.0, 1.0, None, "")
