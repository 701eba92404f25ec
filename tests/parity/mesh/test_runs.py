"""A step over devices is the reference's, and every planted mistake shows."""

import dataclasses

import numpy as np
import pytest

from jax_encoder.training.mesh import MeshShape
from parity.cli import main
from parity.encoder.session import in_float64
from parity.errors import UsageError
from parity.judge.verdict import Verdict, judge
from parity.mesh.bugs import MESH_BUGS, SHAPE, turn
from parity.mesh.course import DEVICES, FORMS, shapes
from parity.mesh.runs import Bench, bench_of, in_ours, in_reference, outcome, outcomes, planned, run
from parity.mesh.stages import reads
from parity.mesh.torch_side import Recipe
from parity.report.record import from_json, to_json

NAMES = [bug.name for bug in MESH_BUGS]


@pytest.fixture(scope="module")
def bench() -> Bench:
    return bench_of("bert")


def test_every_shape_that_the_devices_allow():
    assert len(shapes()) == 1 + 3 + 6 + 10
    assert {one.devices for one in shapes().values()} == {1, 2, 4, DEVICES}
    assert len(planned(None, None)) == len(shapes()) * len(FORMS)
    with pytest.raises(UsageError, match=r"^no mesh is called data=3; there are: data=1, "):
        planned(["data=3"], None)
    with pytest.raises(UsageError, match=r"^no case is called gpt; there are: bert, modernbert$"):
        planned(None, ["gpt"])


@pytest.mark.parametrize("form", [pytest.param("bert", marks=pytest.mark.slow), "modernbert"])
def test_one_device_laid_out_as_a_mesh_passes(form):
    found = run(("data=1", form))
    assert judge([found]) is Verdict.PASS, found
    stages = {comparison.site.split(" ")[0] for comparison in found.comparisons}
    assert stages == {"step", "restored"}


# Here the right reference stands for our side: no device is needed to see what is said of a mistaken one.
@pytest.mark.parametrize("name", NAMES)
def test_a_mistake_in_the_reference_is_caught_located_and_named(name, bench):
    bug = MESH_BUGS[NAMES.index(name)]
    sound = [stage._replace(values={n: a.copy() for n, a in stage.values.items()}) for stage in bench.right]
    with in_float64():
        found = in_reference(bug, SHAPE, sound)
    assert (found.caught, found.first, found.located, found.named) == (True,) * 4, found.said


def test_a_mistake_in_ours_is_caught_and_named_where_it_is_made(bench, monkeypatch):
    """Our side's part is played by the reference with the mistake."""
    bug = MESH_BUGS[NAMES.index("mesh-mean-of-means")]
    with in_float64():
        monkeypatch.setattr(Bench, "ours", lambda self, shape: self.mistaken(bug, shape))
        found = in_ours(dataclasses.replace(bug, in_jax=lambda patch, shape: None), SHAPE)
    assert (found.side, found.caught, found.named) == ("JAX", True, True), found.said


def test_mistakes_that_a_shape_does_not_allow_explain_nothing_there():
    assert not any(bug.applies(MeshShape()) for bug in MESH_BUGS)
    assert all(bug.applies(SHAPE) for bug in MESH_BUGS)


def test_shards_are_turned_along_what_fsdp_splits():
    word = np.arange(8.0).reshape(2, 4)
    np.testing.assert_array_equal(turn("encoder.embedding.word", word, MeshShape(fsdp=2)), word[:, [2, 3, 0, 1]])
    assert turn("head.norm.scale", word[0], MeshShape(fsdp=2)) is word[0] or (word[0] == [0, 1, 2, 3]).all()


def test_what_could_not_show_a_mistake_is_said(bench):
    assert not list(bench.inadequacies(SHAPE))
    even = Bench("bert")
    even.course = even.course._replace(
        batches=tuple(batch._replace(weights=np.ones_like(batch.weights)) for batch in even.course.batches),
        config=dataclasses.replace(
            even.course.config, optimizer=dataclasses.replace(even.course.config.optimizer, clip_norm=1e9)
        ),
    )
    even.right = bench.right
    assert list(even.inadequacies(SHAPE)) == [
        *["all groups of devices have equally many targets: it does not matter how they are weighed"] * 2,
        "no gradient was clipped",
    ]


def test_values_are_read_from_their_own_step():
    among = [
        "step 2 loss",
        "step 2 gradient_norm",
        "step 2 gradient a.b",
        "step 2 parameter a.b",
        "restored parameter a.b",
    ]
    assert reads("step 2 parameter a.b", among) == ("step 2 gradient_norm", "step 2 gradient a.b")
    assert reads("step 2 gradient_norm", among) == ("step 2 loss",)
    assert reads("step 2 loss", among) == reads("restored parameter a.b", among) == ()


@pytest.mark.slow
def test_the_command_compares_over_eight_devices(tmp_path, capsys):
    path = tmp_path / "report.json"
    asked = ["mesh", "--mesh", "data=2,fsdp=2,tensor=2", "--case", "bert", "--json", str(path)]
    assert main(asked) == 0
    assert capsys.readouterr().out.startswith("parity PASS: 1 variant x 1 case, ")
    report = from_json(path.read_text())
    assert report.environment["devices"] == "8 simulated"
    assert to_json(report) == path.read_text()
    assert main(["mesh", "--mesh", "data=3"]) == 2


@pytest.mark.slow
def test_mistakes_in_our_sharded_program_are_caught_and_named():
    found = list(outcomes(frozenset(["mesh-dropout-repeated", "mesh-restore-order"])))
    assert [one.side for one in found] == ["torch", "JAX"] * 2
    assert all((one.caught, one.first, one.located, one.named) == (True,) * 4 for one in found), found
    assert callable(outcome)
    assert Recipe().restored is not None
