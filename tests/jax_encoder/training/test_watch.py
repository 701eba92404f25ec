"""Spikes of the loss are told, and inputs that do not come."""

import time

import numpy as np

from jax_encoder.training.watch import Spikes, Watchdog


def test_a_loss_that_leaps_up_is_told_and_one_that_falls_or_scatters_is_not():
    rng = np.random.default_rng(0)
    losses = 5 * np.exp(-np.arange(300) / 100) + 0.05 * rng.standard_normal(300)
    spikes = Spikes([])
    assert [spikes.add(step, float(loss)) for step, loss in enumerate(losses)] == [None] * 300
    said = spikes.add(300, 1.9)
    assert said is not None
    assert said.startswith("step 300: loss 1.900 is a spike; before it was 0.4")
    assert spikes.add(301, float("nan")) is spikes.add(302, None) is None


def test_too_few_steps_tell_nothing_and_those_of_an_earlier_run_count():
    assert Spikes([]).add(1, 99.0) is None
    steady = [{"step": step, "loss": 2.0 if step != 7 else None} for step in range(30)]
    assert Spikes(steady).add(30, 2.05) is None
    assert Spikes(steady).add(30, 2.2) == "step 30: loss 2.200 is a spike; before it was 2.000 ± 0.000"


def test_what_does_not_come_is_named_and_named_again_less_and_less_often():
    said: list[str] = []
    with Watchdog(said.append, patience=0.1) as watchdog:
        for step in range(3):
            with watchdog.waiting(f"the batch of step {step}"):
                time.sleep(0.55 if step == 1 else 0.0)
        time.sleep(0.3)
    assert [line.split(" has not")[0] for line in said] == ["the batch of step 1"] * 3
    assert said[0] == "the batch of step 1 has not come in 0 s: the input is stalled"


def test_a_watchdog_that_waits_for_nothing_goes_at_once():
    begun = time.monotonic()
    with Watchdog(print, patience=60.0):
        pass
    assert time.monotonic() - begun < 5
