"""An ONNX file as one side of a comparison: its nodes one by one, in float64, by onnx's own reference evaluator.

The format stores constants and attributes in float32 at most: a number is read as the decimal or the root that it was
rounded from (`parity.models.literals`). Operators: https://onnx.ai/onnx/operators/.
"""

import dataclasses
import functools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnx.inliner
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpFunction, OpRun

from parity.errors import UsageError
from parity.models.literals import as_written
from parity.models.program import Cast, Cotangents, Place, Program
from parity.models.side import Arrays, Names, bind_names, in_float64

_SMALLER = {TensorProto.FLOAT: "float32", TensorProto.FLOAT16: "float16", TensorProto.BFLOAT16: "bfloat16"}
_STANDARD = ("", "ai.onnx", "ai.onnx.ml")
_RANDOM = frozenset(
    ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli")
)


class _Step(NamedTuple):
    """A node as a model of its own.

    Attributes:
        cast: to fewer digits, which is read as float64.
        composed: whether the evaluator puts the operator together of others, with constants in float32.
    """

    node: NodeProto
    evaluator: ReferenceEvaluator
    place: Place
    options: Mapping[str, Any]
    cast: Cast | None
    composed: bool


def _erf(x: np.ndarray) -> np.ndarray:
    return np.vectorize(math.erf, otypes="d")(x)


class Erf(OpRun):
    """The error function, which onnx's own evaluator computes in float32."""

    op_domain = ""

    def _run(self, x: np.ndarray) -> tuple[np.ndarray]:
        return (_erf(x),)


class Gelu(OpRun):
    """GELU, which onnx's own evaluator puts together with constants in float32."""

    op_domain = ""

    def _run(self, x: np.ndarray, approximate: str = "none") -> tuple[np.ndarray]:
        if approximate == "tanh":
            return (x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),)
        return (x / 2 * (1 + _erf(x / math.sqrt(2))),)


class HardSwish(OpRun):
    """x times the hard sigmoid of x: likewise."""

    op_domain = ""

    def _run(self, x: np.ndarray) -> tuple[np.ndarray]:
        return (x * np.clip(x / 6 + 0.5, 0, 1),)


@dataclasses.dataclass(eq=False)
class OnnxSide:
    """A model in ONNX, with the parameters that it holds.

    Raises:
        UsageError: the file is no such model, or has what cannot be run node by node.
    """

    file: str | Path | ModelProto
    names: Names = None
    framework: str = "ONNX"
    params: Arrays = dataclasses.field(init=False)
    buffers: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self._file = "" if isinstance(self.file, ModelProto) else str(self.file)
        self._model = _read(self.file)
        held = {one.name: numpy_helper.to_array(one) for one in self._model.graph.initializer}
        self.params = {name: in_float64(value) for name, value in held.items() if _is_parameter(value)}
        self._constants = {
            name: in_float64(as_written(value)) for name, value in held.items() if name not in self.params
        }
        self._inputs = {one.name: one for one in self._model.graph.input if one.name not in held}

    def run(
        self,
        inputs: Arrays,
        params: Arrays,
        cotangents: Cotangents | None = None,
        given: Mapping[int, np.ndarray] | None = None,
    ) -> Program:
        """Runs once, in float64, with given values in the place of some.

        Raises:
            UsageError: gradients are asked for, which such a file cannot give; or the inputs are others.
        """
        if cotangents is not None:
            raise UsageError("an ONNX file computes no gradients: leave backward=True out")
        program, values, places = Program(), dict[str, np.ndarray](), dict[str, int]()
        kinds = (("parameter", params), ("constant", self._constants), ("input", self._bound(inputs)))
        for kind, arrays in kinds:
            for name, value in arrays.items():
                values[name] = value
                places[name] = program.add(kind, kind, value, name=name).index  # type: ignore[arg-type]
        for node, evaluator, place, options, cast, composed in self._steps:
            reads = [name for name in node.input if name]
            results = evaluator.run(None, {name: values[name] for name in reads})
            if cast is not None and values[reads[0]].dtype.kind == "f":
                program.casts[cast] = None
            for name, result in zip([name for name in node.output if name], results, strict=True):
                added = program.add(
                    "operation" if reads else "constant",
                    node.op_type,
                    in_float64(result),
                    [places[one] for one in reads],
                    place=place,
                    options=options,
                )
                if node.op_type in _RANDOM:
                    program.random.append(added.index)
                if composed or _fewer_digits(result, [values[one] for one in reads]):
                    program.notes[f"onnx's evaluator computes {node.op_type} in float32: {place}"] = None
                value = (given or {}).get(added.index, in_float64(result))
                values[name], places[name] = value.reshape(np.shape(result)), added.index
        for output in self._model.graph.output:
            program.outputs[output.name] = places[output.name]
            program.results[places[output.name]] = values[output.name]
        return program

    def _bound(self, inputs: Arrays) -> Arrays:
        """The graph's inputs by their own names; where it takes truths, numbers are true unless they are 0."""
        order, renamed = bind_names(inputs, self.names, list(self._inputs), set(self._inputs))
        named = dict(zip(self._inputs, order, strict=False)) | {there: here for here, there in renamed.items()}
        truths = {name for name, one in self._inputs.items() if one.type.tensor_type.elem_type == TensorProto.BOOL}
        return {
            there: inputs[here].astype(bool) if there in truths else in_float64(inputs[here])
            for there, here in named.items()
        }

    @functools.cached_property
    def _steps(self) -> list[_Step]:
        return list(_steps(self._model, self._file))


def _fewer_digits(result: np.ndarray, read: Sequence[np.ndarray]) -> bool:
    """Whether floats that need float64 come out as floats that do not."""
    floats = [one for one in read if one.dtype.kind == "f" and one.size]
    if not floats or result.dtype.kind != "f" or not result.size or not np.isfinite(result).all():
        return False
    return _in_float32(result) and not any(map(_in_float32, floats))


def _in_float32(value: np.ndarray) -> bool:
    with np.errstate(over="ignore"):
        return bool((value.astype(np.float32) == value).all())


def _read(file: str | Path | ModelProto) -> ModelProto:
    try:
        model = file if isinstance(file, ModelProto) else onnx.load(str(file))
        model = onnx.inliner.inline_local_functions(model) if model.functions else model
    except Exception as error:  # protobuf's and onnx's own, of many kinds
        raise UsageError(f"{file} is no model that onnx can read: {error}") from error
    if not model.graph.output:
        raise UsageError(f"{file} is no model that onnx can read: it has no outputs")
    foreign = sorted({f"{node.domain}.{node.op_type}" for node in model.graph.node if node.domain not in _STANDARD})
    if foreign:
        raise UsageError(
            f"{file} has operators that are not ONNX's own: {', '.join(foreign)}. Compare the file as it was exported, "
            "before a runtime has optimised it"
        )
    nested = [node for node in model.graph.node if any(one.type in _GRAPHS for one in node.attribute)]
    if nested:
        named = ", ".join(f"{node.op_type} ({node.name})" if node.name else node.op_type for node in nested)
        raise UsageError(
            f"{file} decides by its data what it computes: {named}. Export it for inputs of one shape, so that nothing "
            "is left to decide"
        )
    return model


_GRAPHS = (AttributeProto.GRAPH, AttributeProto.GRAPHS)


def _is_parameter(value: np.ndarray) -> bool:
    return value.ndim > 0 and value.size > 1 and (value.dtype.kind == "f" or value.dtype.name == "bfloat16")


def _steps(model: ModelProto, file: str) -> Iterator[_Step]:
    """Every node as a model of its own, in the order of the file, in which each stands after what it reads."""
    for node in model.graph.node:
        wide, cast = _widened(node)
        taken, given = (
            [helper.make_empty_tensor_value_info(name) for name in dict.fromkeys(names) if name]
            for names in (node.input, node.output)
        )
        graph = helper.make_graph([wide], "node", taken, given)
        evaluator = ReferenceEvaluator(
            helper.make_model(graph, opset_imports=model.opset_import), new_ops=[Erf, Gelu, HardSwish]
        )
        options = _options(node)
        for step in evaluator.rt_nodes_:
            for name, value in options.items():
                if isinstance(value, float):
                    setattr(step, name, value)
        place = _place(node, file)
        composed = any(isinstance(step, OpFunction) for step in evaluator.rt_nodes_)
        yield _Step(node, evaluator, place, options, Cast(cast, place) if cast else None, composed)


def _widened(node: NodeProto) -> tuple[NodeProto, str]:
    """The same node in float64, and the dtype of fewer digits that it asks for."""
    wide, found = NodeProto(), ""
    wide.CopyFrom(node)
    for one in wide.attribute:
        if one.name in ("to", "dtype") and one.i in _SMALLER:
            found, one.i = _SMALLER[one.i], TensorProto.DOUBLE
        elif one.type == AttributeProto.TENSOR and one.t.data_type in _SMALLER:
            one.t.CopyFrom(numpy_helper.from_array(_wide(numpy_helper.to_array(one.t))))
        elif node.op_type == "Constant" and one.name in ("value_float", "value_floats"):
            value = _wide(np.asarray(helper.get_attribute_value(one), np.float32))
            one.CopyFrom(helper.make_attribute("value", numpy_helper.from_array(value)))
    return wide, found if node.op_type == "Cast" else ""


def _wide(value: np.ndarray) -> np.ndarray:
    """In float64; a single number as it was written."""
    return in_float64(as_written(value.reshape(()))).reshape(value.shape) if value.size == 1 else in_float64(value)


def _options(node: NodeProto) -> dict[str, Any]:
    """The plain attributes by name."""
    kinds = (AttributeProto.FLOAT, AttributeProto.INT, AttributeProto.STRING, AttributeProto.INTS)
    plain = {one.name: helper.get_attribute_value(one) for one in node.attribute if one.type in kinds}
    return {name: _plain(value) for name, value in plain.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(as_written(np.float32(value)))
    return value.decode() if isinstance(value, bytes) else value


def _place(node: NodeProto, file: str) -> Place:
    """The module and the line that an exporter noted, or what the node's own name says of them."""
    noted: dict[str, str] = {one.key: one.value for one in getattr(node, "metadata_props", ())}
    scopes = re.findall(r"'([^']*)'", noted.get("pkg.torch.onnx.name_scopes", ""))
    lines: Sequence[tuple[str, str]] = re.findall(
        r'File "([^"]+)", line (\d+)', noted.get("pkg.torch.onnx.stack_trace", "")
    )
    module = next((one for one in reversed(scopes[:-1]) if one), "")
    if not module and "/" in node.name:
        module = ".".join(part for part in node.name.split("/")[:-1] if part)
    line = ":".join(lines[-1]) if lines else f"{Path(file).name or 'the model'}, node {node.name or node.op_type}"
    return Place(module, line)
