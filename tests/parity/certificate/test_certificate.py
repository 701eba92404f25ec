import dataclasses
import doctest

import numpy as np
import pytest

from parity import cli
from parity.certificate import certificate
from parity.certificate.certificate import differences, digest, digest_text, holds
from parity.judge.compare import SEMANTIC
from parity.judge.verdict import Crash, Report, Setting
from parity.report import record
from tests.parity.helpers import agreeing, run_of

HASHES = {"weights": "ab" * 32, "config": "cd" * 32}
RUN = run_of(agreeing("key"), agreeing("scores", error=3e-15), case="held-out")
REPORT = Report("a run", SEMANTIC, {"step": "40"}, (RUN,), hashes=HASHES)
DIFFERENT = agreeing("key", error=0.1)


def now(**changes) -> Report:
    return dataclasses.replace(REPORT, **changes)


WEIGHTS = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.ones(2)}


def test_a_digest_is_of_names_dtypes_shapes_and_values():
    kept = digest(WEIGHTS)
    assert kept == digest({"a": np.ones(2), "b": np.asfortranarray(WEIGHTS["b"])})
    assert kept == digest(WEIGHTS | {"b": WEIGHTS["b"].astype(">f4")})
    changed = WEIGHTS["b"].copy()
    changed[1, 2] = np.nextafter(changed[1, 2], np.float32(9))
    others = [
        {"a": WEIGHTS["a"]},
        {"b": WEIGHTS["b"], "c": WEIGHTS["a"]},
        WEIGHTS | {"b": changed},
        WEIGHTS | {"b": WEIGHTS["b"].astype(np.float64)},
        WEIGHTS | {"b": WEIGHTS["b"].view(np.int32)},
        WEIGHTS | {"b": WEIGHTS["b"].T},
        WEIGHTS | {"b": WEIGHTS["b"].reshape(3, 2)},
        WEIGHTS | {"b": WEIGHTS["b"].reshape(6)},
        WEIGHTS | {"a": np.float64(1.0) * np.ones(())},
    ]
    assert len({kept, *map(digest, others)}) == 1 + len(others)
    assert len(kept) == len(digest_text("{}")) == 64


def test_the_examples_in_the_documentation():
    assert doctest.testmod(certificate) == (0, 3)


def test_a_certificate_holds_for_other_roundings_on_another_machine():
    rounded = run_of(agreeing("key", error=9e-15), agreeing("scores", error=0.0), variant="moved", case="held-out")
    again = now(runs=(rounded,), subject="elsewhere", environment={"step": "40", "jax": "0.11"})
    assert differences(REPORT, again) == ()
    assert holds(again) == (
        "PASS, 2 comparisons, worst relative error 9.0e-15; as recorded: weights abababababab, config cdcdcdcdcdcd"
    )
    assert holds(now(runs=())) == ("VACUOUS, 0 comparisons; as recorded: weights abababababab, config cdcdcdcdcdcd")


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        (
            {"hashes": HASHES | {"weights": "ef" * 32}, "environment": {"step": "60"}},
            (
                "the weights changed: SHA-256 was abababababab and is efefefefefef",
                "the certificate is of step 40, the newest whole checkpoint of step 60",
            ),
        ),
        (
            {"hashes": HASHES | {"config": "ef" * 32}},
            ("the config changed: SHA-256 was cdcdcdcdcdcd and is efefefefefef",),
        ),
        (
            {"hashes": {"config": "cd" * 32, "rows": "12" * 32}},
            (
                "the weights changed: SHA-256 was abababababab and is unknown",
                "the rows changed: SHA-256 was not recorded and is 121212121212",
            ),
        ),
        ({"allowed": 1e-6}, ("errors were allowed up to 1e-10, now up to 1e-06",)),
        ({"runs": ()}, ("cases were held-out and are none",)),
        (
            {"runs": (run_of(agreeing("key"), agreeing("weights"), case="held-out"),)},
            ("in held-out, scores float64 [2, 3] was compared where weights float64 [2, 3] is now",),
        ),
        (
            {"runs": (run_of(agreeing("key", shape=(3, 2)), agreeing("scores"), case="held-out"),)},
            ("in held-out, key float64 [2, 3] was compared where key float64 [3, 2] is now",),
        ),
        (
            {"runs": (run_of(agreeing("key"), case="held-out"),)},
            ("in held-out, 2 values were compared and 1 are now",),
        ),
    ],
)
def test_what_changed_is_said(changes, found):
    said = differences(REPORT, now(**changes))
    assert said[-len(found) :] == found
    verdicts = [line for line in said if line.startswith("the verdict was PASS and is VACUOUS")]
    assert len(said) == len(found) + len(verdicts)


def test_another_verdict():
    failed = now(runs=(run_of(DIFFERENT, agreeing("scores"), case="held-out"),))
    assert differences(REPORT, failed) == (
        "the verdict was PASS and is FAIL semantic: "
        "parity FAIL semantic at key, the only value to differ (of 2); nothing is computed before it",
    )


TEXT = run_of(agreeing("ids"), variant="text", case="letters")
UNREAD = Setting("text is read by", "-", "-", "transformers is needed for this folder")


def test_texts_that_were_compared_must_be_again():
    with_text = now(runs=(RUN, TEXT))
    assert differences(with_text, with_text) == ()
    assert differences(with_text, now(preflight=(UNREAD,))) == (
        "texts were compared and are not now: transformers is needed for this folder",
    )
    assert differences(with_text, now(runs=(RUN, TEXT, TEXT))) == (
        "cases were held-out, letters and are held-out, letters, letters",
    )


def test_a_certificate_that_says_nothing_of_texts_need_not_hold_for_them():
    failed = run_of(agreeing("ids", error=0.1), variant="text", case="letters")
    assert differences(REPORT, now(runs=(RUN, failed))) == ()


def test_a_record_without_hashes_is_no_certificate():
    assert differences(now(hashes={}), REPORT) == ("the certificate does not say of which weights it is",)


@pytest.fixture
def verify(tmp_path, monkeypatch, capsys):
    """Writes a certificate, then verifies it against what the check finds now; gives status, output, error output."""

    def call(kept: Report | str | None, found: Report | Exception):
        def check_run(folder):
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr("parity.certificate.trained.check_run", check_run)
        if isinstance(kept, str):
            (tmp_path / "parity.json").write_text(kept, encoding="utf-8")
        elif kept is not None:
            record.write(kept, tmp_path / "parity.json")
        return cli.main(["verify", str(tmp_path)]), *capsys.readouterr()

    return call


def test_verify_is_one_line_when_all_holds(verify):
    status, out, err = verify(REPORT, REPORT)
    assert (status, err) == (0, "")
    assert out == (
        "parity verified: PASS, 2 comparisons, worst relative error 3.0e-15; "
        "as recorded: weights abababababab, config cdcdcdcdcdcd\n"
    )


def test_verify_lists_what_changed(verify, tmp_path):
    status, out, err = verify(REPORT, now(hashes=HASHES | {"weights": "ef" * 32}, environment={"step": "60"}))
    assert (status, err) == (1, "")
    weights = "the weights changed: SHA-256 was abababababab and is efefefefefef"
    assert out.splitlines() == [
        f"parity NOT verified: {weights}, first of 2 differences",
        "  the certificate is of step 40, the newest whole checkpoint of step 60",
        f"  to write a new certificate: python -m parity trained {tmp_path} --json {tmp_path / 'parity.json'}",
    ]


def test_a_certificate_of_a_failure_proves_nothing(verify):
    failed = now(runs=(run_of(DIFFERENT, case="held-out"),))
    status, out, _ = verify(failed, failed)
    assert status == 1
    assert out.startswith(
        "parity NOT verified: the certificate holds, but it is none of equality: FAIL semantic, 1 comp"
    )


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ("{}", "not a parity record: KeyError"),
        (
            record.to_json(REPORT).replace('"verdict": "PASS"', '"verdict": "VACUOUS"', 1),
            "the parity record was changed",
        ),
    ],
)
def test_an_edited_record_is_refused(verify, kept, message):
    status, out, _ = verify(kept, REPORT)
    assert status == 1
    assert out.startswith(f"parity NOT verified: {message}")


def test_a_check_that_could_not_be_repeated(verify):
    crash = Crash("JAX", "ValueError", "no")
    status, out, _ = verify(REPORT, now(runs=(run_of(case="held-out", crash=crash),)))
    assert status == 1
    assert out.startswith("parity NOT verified: the verdict was PASS and is ERROR: parity ERROR in variant one, case ")


def test_what_cannot_be_verified_is_status_2(verify, tmp_path):
    assert verify(None, REPORT) == (
        *(2, ""),
        f"python -m parity: {tmp_path} has no parity.json; write one with "
        f"python -m parity trained {tmp_path} --json {tmp_path / 'parity.json'}\n",
    )
    assert verify(REPORT, ValueError("no whole checkpoint")) == (2, "", "python -m parity: no whole checkpoint\n")
