"""Signals that come in the middle of what cannot hear them."""

import signal
import subprocess
import sys
import time

import pytest

# The main thread is in C for longer than any test, without Python's lock, as in a compiler.
DEAF = """
import hashlib, time
from jax_encoder.training.ending import Ending
def deaf(rounds=10**9):
    print("deaf", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", rounds)
"""


def ended(code: str, *numbers: int) -> tuple[int, str]:
    """Runs a program until it is deaf, sends signals, and returns its status and what it printed after that."""
    process = subprocess.Popen([sys.executable, "-c", DEAF + code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "deaf\n"
    for number in numbers:
        time.sleep(0.2)
        process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    return process.returncode, out


@pytest.mark.parametrize(("number", "name"), [(2, "Ctrl-C"), (15, "SIGTERM"), (1, "SIGHUP")])
def test_where_nothing_is_lost_a_signal_ends_at_once(number, name):
    status, out = ended('with Ending() as e, e.at_once("while compiling; go on with\\n  this"): deaf()', number)
    assert (status, out) == (128 + number, f"stopped by {name} while compiling; go on with\n  this\n")


def test_a_step_has_some_time_and_saving_all_it_needs():
    steps = 'with Ending(grace=0.3) as e:\n e.in_steps("in a step")\n '
    late = steps + "deaf()"
    status, out = ended(late, signal.SIGTERM)
    assert (status, out) == (143, "stopped by SIGTERM in a step\n")
    saving = steps + 'with e.saving(): deaf(3 * 10**6); time.sleep(0.5); print("saved")'
    assert ended(saving, signal.SIGTERM) == (0, "saved\n")


def test_a_second_ctrl_c_in_a_step_ends_it():
    steps = 'with Ending() as e:\n e.in_steps("in a step")\n deaf()'
    assert ended(steps, signal.SIGINT, signal.SIGINT) == (130, "stopped by Ctrl-C in a step\n")


def test_what_came_before_is_not_forgotten():
    code = 'with Ending() as e:\n deaf(3 * 10**6)\n with e.at_once("at last"): print("never")'
    assert ended(code, signal.SIGTERM) == (143, "stopped by SIGTERM at last\n")


def test_what_was_begun_is_cleaned_up_where_that_is_wanted():
    code = """
with Ending() as e, e.unwinding("after the end"):
    try: deaf(3 * 10**6); time.sleep(60)
    finally: print("cleaned")
"""
    assert ended(code, signal.SIGTERM) == (143, "stopped by SIGTERM after the end\ncleaned\n")


def test_outside_of_a_command_nothing_is_changed():
    from jax_encoder.training.ending import NUMBERS, Ending

    before = [signal.getsignal(number) for number in NUMBERS]
    idle = Ending()
    with idle.at_once("never"), idle.unwinding("never"), idle.saving():
        assert [signal.getsignal(number) for number in NUMBERS] == before
    with Ending():
        assert [signal.getsignal(number) for number in NUMBERS] != before
    assert [signal.getsignal(number) for number in NUMBERS] == before
