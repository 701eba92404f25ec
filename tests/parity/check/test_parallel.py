"""Variants shared out among processes: the same report, and a word when a process is lost."""

import os

import pytest

from parity import cli
from parity.cases.case import CASE_NAMES
from parity.check.parallel import check_in_parallel
from parity.errors import UsageError
from parity.judge.check import check
from parity.report import record
from tests.parity import helpers as toy

BIASLESS = toy.ToyVariant(break_params=toy.without_key_bias)


def subject() -> toy.ToySubject:
    forms = {"good": toy.ToyVariant(), "bad": BIASLESS, "large": toy.ToyVariant(by_default=False)}
    return toy.ToySubject(forms)


def lost() -> toy.ToySubject:
    return toy.ToySubject({"good": toy.ToyVariant(), "lost": toy.ToyVariant(prepare=_ends_the_process)})


def _ends_the_process(*_):
    os._exit(7)


def test_the_report_is_the_one_of_a_single_process():
    told = []
    names, cases = ["good", "bad", "large"], ["ragged", "holes"]
    found = check_in_parallel(
        subject, names, cases, jobs=2, progress=lambda variant, case: told.append((variant, case))
    )
    assert record.to_json(found) == record.to_json(check(subject(), variants=names, cases=cases))
    assert sorted(told) == sorted((variant, case) for variant in names for case in cases)


def test_a_process_that_is_ended_from_outside_is_told():
    with pytest.raises(UsageError, match=r"one of 2 processes was ended from outside, .*: try --jobs 1"):
        check_in_parallel(lost, ["good", "lost"], CASE_NAMES[:1], jobs=2, progress=lambda variant, case: None)


def test_the_command_shares_out(monkeypatch, capsys):
    monkeypatch.setattr("parity.encoder.subject.subject", subject)
    assert cli.main(["check", "--case", "ragged", "--jobs", "2"]) == 1
    shared = capsys.readouterr().out
    assert cli.main(["check", "--case", "ragged", "--jobs", "1"]) == 1
    assert capsys.readouterr().out == shared


def test_a_number_of_jobs_that_makes_no_sense(capsys):
    assert cli.main(["check", "--jobs", "-1"]) == 2
    assert capsys.readouterr().err.endswith("--jobs must be at least 0, got -1\n")
