import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from parity.encoder.table import Row, match
from parity.errors import MismatchError

D, N, H, F, L = 4, 3, 2, 5, 3

# A toy of every kind: renamed, laid out anew, stacked with the first layer apart, optional.
KERNEL = (lambda w_DNH: w_DNH.reshape(D, N * H).T, lambda w_FD: w_FD.T.reshape(D, N, H))
ROWS = (
    Row("table", "table.weight"),
    Row(r"first\.(query|key)\.kernel", r"layers.0.\1.weight", *KERNEL),
    Row(r"layers\.(query|key)\.kernel", r"layers.{layer}.\1.weight", *KERNEL, layers=range(1, L)),
    Row(r"layers\.(up)\.bias", r"layers.{layer}.\1.bias", layers=range(L)),
    Row(r"layers\.gate\.bias", "layers.{layer}.gate.bias", layers=range(L), optional=True),
)
JAX_SHAPES = {
    "table": (7, D),
    "first.query.kernel": (D, N, H),
    "first.key.kernel": (D, N, H),
    "layers.query.kernel": (L - 1, D, N, H),
    "layers.key.kernel": (L - 1, D, N, H),
    "layers.up.bias": (L, F),
}
TORCH_SHAPES = {
    "table.weight": (7, D),
    **{f"layers.{i}.{name}.weight": (N * H, D) for i in range(L) for name in ("query", "key")},
    **{f"layers.{i}.up.bias": (F,) for i in range(L)},
}


def params(seed: int = 0, dtype=np.float64) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape).astype(dtype) for name, shape in JAX_SHAPES.items()}


def refusal(rows=ROWS, jax_shapes=JAX_SHAPES, torch_shapes=TORCH_SHAPES) -> list[str]:
    with pytest.raises(MismatchError, match=r"^the parameters of the two sides are not one to one:\n") as caught:
        match(rows, jax_shapes, torch_shapes)
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_every_parameter_arrives_in_its_place():
    given = params()
    torch_params = match(ROWS, JAX_SHAPES, TORCH_SHAPES).to_torch(given)
    assert {name: array.shape for name, array in torch_params.items()} == TORCH_SHAPES
    np.testing.assert_array_equal(torch_params["table.weight"], given["table"])
    for n in range(N):
        for h in range(H):
            row = n * H + h
            assert (torch_params["layers.0.key.weight"][row] == given["first.key.kernel"][:, n, h]).all()
            assert (torch_params["layers.2.query.weight"][row] == given["layers.query.kernel"][1, :, n, h]).all()
    assert (torch_params["layers.1.up.bias"] == given["layers.up.bias"][1]).all()


def test_what_crosses_is_a_contiguous_copy():
    given = params()
    torch_params = match(ROWS, JAX_SHAPES, TORCH_SHAPES).to_torch(given)
    assert all(array.flags.c_contiguous for array in torch_params.values())
    assert not any(np.may_share_memory(a, b) for a in torch_params.values() for b in given.values())


@hypothesis.given(st.integers(0, 2**32 - 1), st.sampled_from([np.float64, np.float32, np.float16]))
def test_the_round_trip_is_the_identity(seed, dtype):
    table, given = match(ROWS, JAX_SHAPES, TORCH_SHAPES), params(seed, dtype)
    given["table"][0, 0] = np.nan
    table.check_round_trip(given)
    back = table.to_jax(table.to_torch(given))
    assert list(back) == list(given)
    assert all(back[name].tobytes() == array.tobytes() for name, array in given.items())


@pytest.mark.parametrize(
    ("to_jax", "text"),
    [
        (lambda w_FD: w_FD.reshape(D, N, H), "first.query.kernel comes back changed from layers.0.query.weight"),
        (
            lambda w_FD: -w_FD.T.reshape(D, N, H),
            "layers.query.kernel comes back changed from layers.1.query.weight and",
        ),
    ],
)
def test_a_layout_that_is_not_undone_is_refused(to_jax, text):
    rows = [row._replace(to_jax=to_jax) if "kernel" in row.jax_name else row for row in ROWS]
    with pytest.raises(
        MismatchError, match=r"^the weight table loses information; to_jax must undo to_torch:\n"
    ) as caught:
        match(rows, JAX_SHAPES, TORCH_SHAPES).check_round_trip(params())
    assert text in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1 + 4


def test_all_that_does_not_fit_is_reported_together():
    jax_shapes = JAX_SHAPES | {"layers.gate.kernel": (L, D, F), "first.up.bias": (F,)}
    torch_shapes = TORCH_SHAPES | {"head.bias": (7,)}
    del torch_shapes["layers.1.key.weight"], jax_shapes["table"]
    assert refusal(jax_shapes=jax_shapes, torch_shapes=torch_shapes) == [
        "JAX's layers.gate.kernel [3, 4, 5] must match exactly one row, matches none",
        "JAX's first.up.bias [5] must match exactly one row, matches none",
        "torch has no layers.1.key.weight, made from JAX's layers.key.kernel",
        "nothing makes torch's table.weight [7, 4]",
        "nothing makes torch's head.bias [7]",
        "row table matches nothing",
    ]


def test_a_name_that_two_rows_claim_is_refused():
    rows = (*ROWS, Row("tab.*", "other"))
    assert "JAX's table [7, 4] must match exactly one row, matches table, tab.*" in refusal(rows)


def test_a_regular_expression_must_match_the_whole_name():
    problems = refusal(jax_shapes=JAX_SHAPES | {"table2": (7, D), "old.table": (7, D)})
    assert [line.split()[1] for line in problems] == ["table2", "old.table"]


def test_an_alternative_that_is_a_beginning_does_not_change_the_name():
    table = match([Row("(a|ab)", r"\1.weight")], {"ab": (2,)}, {"ab.weight": (2,)})
    assert list(table.to_torch({"ab": np.zeros(2)})) == ["ab.weight"]


def test_two_parameters_that_become_one_are_refused():
    rows = [
        row._replace(torch_name="layers.{layer}.query.weight") if row.layers == range(1, L) else row for row in ROWS
    ]
    problems = refusal(rows)
    assert "torch's layers.1.query.weight is made from both layers.query.kernel and layers.key.kernel" in problems
    assert "nothing makes torch's layers.1.key.weight [6, 4]" in problems


def test_layers_read_off_by_one_are_refused():
    rows = [row._replace(layers=range(L - 1)) if row.layers == range(1, L) else row for row in ROWS]
    problems = refusal(rows)
    assert "torch's layers.0.query.weight is made from both first.query.kernel and layers.query.kernel" in problems
    assert "nothing makes torch's layers.2.key.weight [6, 4]" in problems


@pytest.mark.parametrize("shape", [(L + 1, F), (), (0, F)])
def test_the_layer_axis_must_fit(shape):
    [problem] = refusal(jax_shapes=JAX_SHAPES | {"layers.up.bias": shape})
    assert problem == f"JAX's layers.up.bias {list(shape)} must stack its layers, range(0, 3), along its first axis"


def test_a_stack_of_no_layers_is_refused():
    rows = [Row("layers.bias", "layers.{layer}.bias", layers=range(0))]
    assert refusal(rows, {"layers.bias": (0, 2)}, {}) == [
        "JAX's layers.bias [0, 2] must stack its layers, range(0, 0), along its first axis"
    ]


def test_a_stacked_row_needs_the_layer_in_its_name_and_no_other_does():
    rows = [Row("a", "a.weight", layers=range(2)), Row("b", "b.{layer}.weight")]
    assert [line for line in refusal(rows) if "need each other" in line] == [
        "row a: {layer} in a.weight and layers=range(0, 2) need each other",
        "row b: {layer} in b.{layer}.weight and layers=None need each other",
    ]


def test_parameters_other_than_those_matched_are_refused_together():
    table, given = match(ROWS, JAX_SHAPES, TORCH_SHAPES), params()
    given |= {"stray": np.zeros(1), "table": np.zeros((8, D))}
    del given["layers.up.bias"]
    with pytest.raises(MismatchError, match=r"^the parameters are not those that were matched:\n") as caught:
        table.to_torch(given)
    assert str(caught.value).splitlines()[1:] == [
        "  JAX's stray is unknown",
        "  JAX's layers.up.bias is missing",
        "  JAX's table must have shape [7, 4], has [8, 4]",
    ]
    with pytest.raises(MismatchError, match=r"torch's table\.weight is missing"):
        table.to_jax({})


def test_a_layout_that_gives_another_shape_is_refused():
    rows = [
        row._replace(to_torch=lambda w_DNH: w_DNH.reshape(D, N * H)) if "first" in row.jax_name else row for row in ROWS
    ]
    table = match(rows, JAX_SHAPES, TORCH_SHAPES)
    with pytest.raises(MismatchError, match=r"torch's layers\.0\.query\.weight must have shape \[6, 4\], has \[4, 6\]"):
        table.to_torch(params())


def test_a_layout_that_an_array_does_not_fit_is_refused():
    rows = [Row("kernel", "weight", lambda w_DF: w_DF.reshape(3, 3))]
    table = match(rows, {"kernel": (2, 4)}, {"weight": (3, 3)})
    with pytest.raises(
        MismatchError, match=r"JAX's kernel \[2, 4\] does not fit the layout of its row: cannot reshape"
    ):
        table.to_torch({"kernel": np.zeros((2, 4))})


def test_a_layout_may_not_change_the_dtype():
    table = match([Row("a", "b", lambda w_D: w_D.astype(np.float32))], {"a": (2,)}, {"b": (2,)})
    with pytest.raises(MismatchError, match="the row of JAX's a turns float64 into float32, must only lay values out"):
        table.to_torch({"a": np.zeros(2)})


def test_layers_of_different_dtypes_are_not_stacked():
    table = match([Row("a", "a.{layer}", layers=range(2))], {"a": (2, 3)}, {"a.0": (3,), "a.1": (3,)})
    with pytest.raises(MismatchError, match=r"a stacks layers of different dtypes: \['float64', 'float32'\]"):
        table.to_jax({"a.0": np.zeros(3), "a.1": np.zeros(3, np.float32)})
