"""An ONNX file as one side: against the PyTorch module that it was exported from, and against itself with a mistake."""

import io
import warnings

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from transformers import BertConfig, BertModel

import parity
from parity.errors import UsageError
from parity.judge.verdict import Verdict

RANDOM = np.random.default_rng(0)
KERNEL, BIAS, SCALE, SHIFT = (RANDOM.normal(size=shape).astype(np.float32) for shape in ((6, 8), 8, 8, 8))
X = RANDOM.normal(size=(3, 5, 6)).astype(np.float32)
FLOAT, OPSET = TensorProto.FLOAT, 20


def model(*nodes, inputs=(("x", FLOAT),), outputs=("y",), held=None, opset=OPSET):
    """A model of these nodes; shapes are left open."""
    held = {"kernel": KERNEL, "bias": BIAS, "scale": SCALE, "shift": SHIFT} if held is None else held
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, kind, None) for name, kind in inputs],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in held.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def block(epsilon=1e-5, approximate="none", root=8.0):
    """A linear map, GELU, a scale, a norm."""
    return model(
        helper.make_node("MatMul", ["x", "kernel"], ["product"], name="/mlp/dense/MatMul"),
        helper.make_node("Add", ["product", "bias"], ["dense"], name="/mlp/dense/Add"),
        helper.make_node("Gelu", ["dense"], ["active"], name="/mlp/act/Gelu", approximate=approximate),
        helper.make_node("Constant", [], ["root"], value_float=float(np.sqrt(root))),
        helper.make_node("Div", ["active", "root"], ["scaled"], name="/mlp/Div"),
        helper.make_node("LayerNormalization", ["scaled", "scale", "shift"], ["y"], name="/norm/LN", epsilon=epsilon),
    )


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.dense, self.norm = torch.nn.Linear(6, 8), torch.nn.LayerNorm(8)
        values = (KERNEL.T, BIAS, SCALE, SHIFT)
        for parameter, value in zip(self.parameters(), values, strict=True):
            parameter.data = torch.from_numpy(value.copy())

    def forward(self, x):
        return self.norm(torch.nn.functional.gelu(self.dense(x)) / 8**0.5)


def against_torch(ours, **options):
    return parity.compare(parity.onnx(ours), parity.torch(Block()), {"x": X}, **options)


def test_the_same_function_passes_although_the_file_holds_its_root_in_float32():
    report = against_torch(block())
    assert str(report).startswith("parity PASS: 1 output; worst relative error ")
    assert report.cases[0].run.comparisons[0].error < 1e-14
    assert {(row.whole, *row.parts, row.how) for row in report.table.rows} == {
        ("kernel", "dense.weight", "transposed"),
        ("bias", "dense.bias", "the same"),
        ("scale", "norm.weight", "the same"),
        ("shift", "norm.bias", "the same"),
    }
    assert report.environment.keys() == {"onnx", "torch"}


@pytest.mark.parametrize(
    ("wrong", "op", "module"),
    [
        ({"epsilon": 1e-12}, "LayerNormalization", "norm"),
        ({"approximate": "tanh"}, "Gelu", "mlp.act"),
        ({"root": 2.0}, "Div", "mlp"),
    ],
)
def test_a_mistake_is_found_at_its_node(wrong, op, module):
    report = against_torch(block(**wrong))
    assert report.verdict is Verdict.FAIL_SEMANTIC
    ours = report.cases[0].partings[0].ours
    assert (ours.op, ours.place.module) == (op, module)
    assert f"the model, node /{module.replace('.', '/')}/" in ours.place.line


def test_two_mistakes_are_both_found():
    report = against_torch(block(epsilon=1e-12, approximate="tanh"))
    assert [parting.ours.op for parting in report.cases[0].partings] == ["Gelu", "LayerNormalization"]


def test_a_file_against_another():
    report = parity.compare(parity.onnx(block()), parity.onnx(block(epsilon=1e-6)), {"x": X})
    assert [parting.theirs.op for parting in report.cases[0].partings] == ["LayerNormalization"]
    assert parity.compare(parity.onnx(block()), parity.onnx(block()), {"x": X}).verdict is Verdict.PASS


class Bert(torch.nn.Module):
    """As the exporter can call it: by position."""

    def __init__(self, bert):
        super().__init__()
        self.bert = bert

    def forward(self, input_ids, attention_mask):
        return tuple(self.bert(input_ids=input_ids, attention_mask=attention_mask).values())


def test_a_published_model_as_torch_exports_it(tmp_path):
    sizes = {"vocab_size": 50, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3}
    config = BertConfig(**sizes, intermediate_size=20, max_position_embeddings=16, attn_implementation="eager")
    bert = Bert(BertModel(config)).eval()
    with torch.no_grad():
        for parameter in bert.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
    tokens, mask = torch.randint(0, 50, (3, 7)), torch.ones(3, 7, dtype=torch.long)
    mask[0, 4:] = 0
    names = ["input_ids", "attention_mask"]
    written = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):  # the exporter's own, of many kinds
        torch.onnx.export(bert, (tokens, mask), written, dynamo=False, input_names=names, opset_version=17)
    (tmp_path / "bert.onnx").write_bytes(written.getvalue())
    inputs = dict(zip(names, (tokens.numpy(), mask.numpy()), strict=True))
    report = parity.compare(parity.onnx(tmp_path / "bert.onnx"), parity.torch(bert), inputs)
    assert report.verdict is Verdict.PASS, str(report)
    assert not report.problems
    assert report.cases[0].sides[1].coverage.matched > 0.95 * report.cases[0].sides[1].coverage.operations


def test_inputs_are_bound_by_name_and_truths_are_truths():
    node = helper.make_node("Where", ["keep", "x", "low"], ["y"])
    kinds = (("keep", TensorProto.BOOL), ("x", FLOAT))
    where = model(node, inputs=kinds, held={"low": np.float32(-1.5)})
    keep = np.array([[1], [0], [1]])

    def reference(mask, x):
        return torch.where(mask.bool(), x, -1.5)

    for names in (None, {"mask": "keep"}, ["mask", "x"]):
        given = {("keep" if names is None else "mask"): keep, "x": X[:, 0]}
        theirs = parity.torch(reference, inputs={"keep": "mask"} if names is None else None)
        assert parity.compare(parity.onnx(where, inputs=names), theirs, given).verdict is Verdict.PASS
    with pytest.raises(UsageError, match="it takes no mask: it takes keep, x; say inputs="):
        parity.compare(parity.onnx(where), parity.torch(reference), {"mask": keep, "x": X[:, 0]})


def test_what_an_exporter_notes_of_module_and_line_is_told():
    node = helper.make_node("Add", ["x", "bias"], ["y"], name="node_add_3")
    noted = {
        "pkg.torch.onnx.name_scopes": "['', 'encoder', 'encoder.dense', 'add']",
        "pkg.torch.onnx.stack_trace": 'File "/a/port.py", line 3, in f\n  x\nFile "/a/port.py", line 9, in add\n  y',
    }
    wrong = model(node, held={"bias": BIAS[:6]})
    for key, value in noted.items():
        wrong.graph.node[0].metadata_props.add(key=key, value=value)
    report = parity.compare(parity.onnx(wrong), parity.torch(lambda x: x + 1), {"x": X})
    assert report.cases[0].partings[0].ours.place == ("encoder.dense", "/a/port.py:9")


def test_a_cast_to_fewer_digits_is_read_as_float64_and_told():
    half = model(helper.make_node("Cast", ["x"], ["y"], name="/half/Cast", to=TensorProto.FLOAT16), held={})
    report = parity.compare(parity.onnx(half), parity.torch(lambda x: x * 1.0), {"x": X / 3})
    assert report.verdict is Verdict.PASS
    assert "a cast to float16 in half at the model, node /half/Cast was read as float64" in str(report)


def test_what_the_evaluator_computes_in_float32_is_told():
    grid = model(helper.make_node("AffineGrid", ["x", "size"], ["y"]), held={"size": np.array([2, 1, 3, 4])})
    program = parity.onnx(grid).run({"x": RANDOM.normal(size=(2, 2, 3))}, {})
    assert [note for note in program.notes if note.startswith("onnx's evaluator computes AffineGrid in float32")]


def test_random_numbers_are_told():
    noise = helper.make_node("RandomNormalLike", ["x"], ["noise"])
    report = parity.compare(
        parity.onnx(model(noise, helper.make_node("Add", ["x", "noise"], ["y"]), held={})),
        parity.torch(lambda x: x * 1.0),
        {"x": X},
    )
    assert report.verdict is Verdict.FAIL_SEMANTIC
    assert "random numbers are drawn in" in str(report)


def refused(match, ours, **options):
    with pytest.raises(UsageError, match=match):
        against_torch(ours, **options)


def test_what_cannot_be_run_node_by_node_is_refused(tmp_path):
    fused = helper.make_node("SkipLayerNormalization", ["x", "x", "scale"], ["y"], domain="com.microsoft")
    refused(r"operators that are not ONNX's own: com.microsoft.SkipLayerNormalization. Compare", model(fused))
    branch = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["one"])], "b", [], [helper.make_empty_tensor_value_info("one")]
    )
    decides = helper.make_node("If", ["flag"], ["y"], name="choice", then_branch=branch, else_branch=branch)
    refused(r"decides by its data what it computes: If \(choice\)", model(decides, held={"flag": np.array(True)}))
    refused("computes no gradients: leave backward=True out", block(), backward=True)
    refused("is no model that onnx can read", tmp_path / "missing.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"no model at all")
    refused("is no model that onnx can read", tmp_path / "broken.onnx")


def test_local_functions_are_opened():
    opset = helper.make_opsetid("", OPSET)
    twice = helper.make_function("own", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [opset])
    nodes = [helper.make_node("Twice", ["x"], ["y"], domain="own")]
    graph = model(*nodes, held={}).graph
    opened = helper.make_model(graph, opset_imports=[opset, helper.make_opsetid("own", 1)], functions=[twice])
    assert parity.compare(parity.onnx(opened), parity.torch(lambda x: x + x), {"x": X}).verdict is Verdict.PASS
