"""Random problems: what is drawn is valid, what is planted is found and made small, and the file repeats it."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from parity import cli
from parity.encoder.form import Form
from parity.encoder.variants import variants
from parity.errors import UsageError
from parity.fuzz import problems as fuzz
from parity.fuzz.problems import SCALES, Problem, drawn, from_json, reason_of, to_json
from parity.judge.rounding import allowed
from parity.judge.verdict import SiteError

# Beartype samples containers at random, also those of a config that a strategy draws.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")

PLAIN = Problem(form=variants()["post"], batch=5, length=13, mask="lengths", positions=False, seed=0, dtype="float64")


@settings(max_examples=200)
@given(drawn())
def test_problems_are_valid(problem):
    case = problem.case()
    shape = (problem.batch, problem.length)
    assert case.tokens_BT.shape == case.positions_BT.shape == shape
    assert case.mask_BTS.shape == (*shape, problem.length)
    assert case.mask_BTS.any()
    assert case.tokens_BT.max() < problem.form.config.vocab_size
    assert case.positions_BT.max() < problem.form.config.max_len
    assert (case.token_types_BT is None) == (problem.form.config.num_token_types == 0)
    assert (case.segments_BT is None) == (problem.mask != "segments")
    if case.segments_BT is not None:
        assert case.segments_BT.min() >= 0
    again = problem.case()
    np.testing.assert_array_equal(again.mask_BTS, case.mask_BTS)
    np.testing.assert_array_equal(again.tokens_BT, case.tokens_BT)


@pytest.mark.slow
def test_what_a_saturated_softmax_leaves_is_no_difference():
    """Found by a search: the cotangent of the scores is 1e-9 of what flows in, and has so many digits fewer."""
    sizes = {"vocab_size": 17, "max_len": 5, "embed_dim": 4, "num_heads": 1, "num_key_value_heads": 1, "head_dim": 2}
    form = {"mlp_dim": 3, "num_layers": 1, "layer_groups": (0,), "windows": (None,), "num_token_types": 0}
    plain = {"embedding_norm": False, "mlm_transform_bias": False, "embedding_dropout": 0.4}
    config = replace(PLAIN.form.config, **sizes, **form, **plain)
    assert reason_of(Problem(Form(config), 1, 2, mask="all", positions=False, seed=3112, dtype="float64")) == ""


@given(drawn())
def test_a_file_holds_the_problem(problem):
    assert from_json(to_json(problem, "gelu-tanh", "something")) == (problem, "gelu-tanh", "something")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a replay file: JSONDecodeError"),
        ("[]", "not a replay file: TypeError"),
        ('{"version": 0}', "a replay file of version 0 cannot be read, must be 2"),
        ('{"version": 2}', "not a replay file: KeyError: 'problem'"),
        (
            '{"version": 2, "plant": null, "reason": "", "problem": {"form": {"config": {}}}}',
            "not a replay file: ValueError: the encoder config",
        ),
    ],
)
def test_another_file_is_refused(text, message):
    with pytest.raises(UsageError, match=message):
        from_json(text)


@pytest.mark.slow
def test_a_clean_problem_has_no_reason_to_fail():
    assert reason_of(PLAIN) == ""


def test_a_planted_mistake_is_the_reason():
    assert reason_of(PLAIN, "key-bias-dropped") == "layers.0.attention.key differs"
    assert reason_of(PLAIN, "gate-order") == "", "this form has no gate"


def test_a_side_that_raises_is_the_reason(monkeypatch):
    monkeypatch.setattr("torch_ref.attention.Attention._split_heads", lambda self, x: x.unflatten(-1, (5, 5)))
    assert reason_of(PLAIN).startswith("torch raised RuntimeError: unflatten")


@pytest.mark.slow
def test_a_loss_of_digits_is_found_and_repeated(tmp_path, monkeypatch, capsys):
    config = replace(PLAIN.form.config, num_layers=1, layer_groups=(0,), windows=(None,))
    coarse = replace(PLAIN, form=Form(config), dtype="float32")
    assert reason_of(coarse) == ""
    coarser = {np.dtype("float32"): np.dtype("bfloat16")}
    monkeypatch.setattr("jax_encoder.norm.at_least_float32", lambda dtype: coarser.get(np.dtype(dtype), dtype))
    assert reason_of(coarse) == "float32 loses digits at embedding.norm"
    (tmp_path / "found.json").write_text(to_json(coarse, None, ""))
    assert cli.main(["replay", str(tmp_path / "found.json")]) == 1
    assert capsys.readouterr().out.startswith("parity FAIL precision at embedding.norm in float32")
    monkeypatch.undo()
    assert cli.main(["replay", str(tmp_path / "found.json")]) == 0
    assert capsys.readouterr().out.startswith("parity PASS: 1 variant x 1 case, ")


def test_a_site_counts_by_the_draw_in_which_it_does_best():
    def site(ours, theirs):
        return SiteError("layers.0.attention.value", ours, theirs, allowed(theirs, "float32"))

    fair, lucky, coarse, broken = site(1e-6, 1e-6), site(1e-6, 1e-9), site(1e-3, 1e-6), site(math.inf, 1e-6)
    assert lucky.ours > lucky.allowed
    assert fuzz._best((lucky, fair, lucky)) is fair
    assert fuzz._best((coarse, coarse, site(2e-3, 1e-6))) is coarse
    assert fuzz._best((fair, broken, fair)) is broken


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_few_entries_come_to_by_luck_is_no_loss_of_digits(dtype):
    """A search found it: of four entries, torch's were 22 times as exact as ours, in one draw."""
    config = replace(
        variants()["post"].config,
        **SCALES[0].sizes,
        num_key_value_heads=1,
        num_layers=2,
        layer_groups=(0, 0),
        windows=(None, None),
        num_token_types=4,
        position_offset=2,
        norm_eps=1e-12,
        norm_bias=False,
        mlp_bias=False,
        mlm_activation=None,
        mlm_transform_bias=False,
        embedding_dropout=0.1,
        attention_dropout=0.1,
        residual_dropout=0.1,
    )
    lucky = Problem(Form(config), batch=1, length=2, mask="anything", positions=True, seed=16, dtype=dtype)
    assert reason_of(lucky) == ""


def test_a_side_that_raises_is_repeated_as_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("torch_ref.attention.Attention._split_heads", lambda self, x: x.unflatten(-1, (5, 5)))
    (tmp_path / "found.json").write_text(to_json(PLAIN, None, ""))
    assert cli.main(["replay", str(tmp_path / "found.json")]) == 3
    out = capsys.readouterr().out
    assert out.startswith("parity ERROR in variant found, case fuzz: torch raised RuntimeError: unflatten")
    assert "\n  raised at tests/parity/fuzz/test_problems.py:" in out


@pytest.mark.slow
def test_command_line_finds_shrinks_and_repeats(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = ["--plant", "gelu-tanh", "--dtype", "float64", "--examples", "20", "--minutes", "3"]
    assert cli.main(["fuzz", *options, "--out", "found.json"]) == 1
    assert capsys.readouterr().out.startswith("fuzz: layers.0.mlp.post_activation differs; found among ")
    problem, plant, reason = from_json((tmp_path / "found.json").read_text())
    assert plant == "gelu-tanh"
    assert reason == "layers.0.mlp.post_activation differs"
    assert (problem.form.config.num_layers, problem.batch, problem.length) == (1, *fuzz.SCALES[0][:2])
    assert problem.form.config.position_kind == "learned"
    assert cli.main(["replay", "found.json", "--json", "report.json"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("parity FAIL semantic at layers.0.mlp.post_activation")
    assert json.loads((tmp_path / "report.json").read_text())["verdict"] == "FAIL semantic"


@pytest.mark.slow
def test_command_line_finds_nothing_in_clean_encoders(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["fuzz", "--examples", "1", "--minutes", "3", "--seed", "1"]) == 0
    assert capsys.readouterr().out.startswith("fuzz: no difference in 1 random encoders, seed 1, ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fuzz", "--minutes", "0"], "--minutes and --examples must be above 0, got 0.0 and 1000000"),
        (["fuzz", "--dtype", "float16"], "no dtype is called float16; there are: float64, float32, bfloat16"),
        (["fuzz", "--plant", "gelu"], "no bug is called gelu; there are: "),
        (["replay", "nowhere.json"], "cannot read nowhere.json: No such file or directory"),
    ],
)
def test_bad_use_is_status_2(arguments, message, capsys):
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err.startswith(f"python -m parity: {message}")
