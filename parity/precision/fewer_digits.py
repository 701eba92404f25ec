"""Fewer digits on purpose, as hardware and careless casts leave them.

TF32 and bfloat16 products round their operands and sum in float32. They are planted by rewriting the program that JAX
has traced, so that no product can be missed; what a module does by itself, by lending it another function.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax.extend.core import ClosedJaxpr, Literal
from jax.typing import DTypeLike
from jaxtyping import PyTree
from torch.utils._python_dispatch import TorchDispatchMode

import jax_encoder.attention
import jax_encoder.norm
from jax_encoder.encoder import EncoderLayer
from jax_encoder.heads import MLMHead
from parity.precision.bugs import Part, PrecisionBug

_EXPONENT_BITS = 8  # of float32, TF32 and bfloat16 alike
_INLINED = {"jit": "jaxpr", "pjit": "jaxpr", "custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr"}

# torch's operator -> which of its arguments are multiplied.
_MULTIPLIED = {"mm": (0, 1), "bmm": (0, 1), "addmm": (1, 2), "baddbmm": (1, 2)}

Function = Callable[..., PyTree]
Narrow = Callable[[jax.Array], jax.Array]


def planted(function: Function, bug: PrecisionBug | None) -> Function:
    """Our program with the mistake in it; what is asked for in float64 keeps its digits.

    The result must be traced anew for every mistake: it patches our modules while it runs.
    """

    def run(*arguments: PyTree) -> PyTree:
        assert bug is not None
        with _patched(_lent(bug)):
            if bug.part == "products":
                return with_rounded_products(function, bug.digits, cuts=bug.cuts)(*arguments)
            return function(*arguments)

    return function if bug is None else run


def with_rounded_products(function: Function, digits: int, *, cuts: bool = False) -> Function:
    """The same function, every float32 operand of its matrix products rounded to so many digits, in loops too.

    Args:
        function: of arrays, in trees.
        digits: of the mantissa, the leading one included.
        cuts: whether further digits are cut off; else the nearest number is taken.
    """

    def narrow(x: jax.Array) -> jax.Array:
        return _cut(x, digits) if cuts else _round(x, digits)

    def run(*arguments: PyTree) -> PyTree:
        program, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        results = _evaluate(program, jax.tree.leaves(arguments), narrow)
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return run


class RoundedTorchProducts(TorchDispatchMode):
    """While it is entered, every float32 operand of torch's matrix products is rounded to so many digits."""

    def __init__(self, digits: int):
        super().__init__()
        self.digits = digits

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        multiplied = _MULTIPLIED.get(func.overloadpacket.__name__, ())
        rounded = [_round_torch(arg, self.digits) if i in multiplied else arg for i, arg in enumerate(args)]
        return func(*rounded, **(kwargs or {}))


def _lent(bug: PrecisionBug) -> list[tuple[Any, str, Callable]]:
    """What our modules are to be lent, so that they lose digits: owner, attribute and value; products need nothing."""

    def narrow(dtype: DTypeLike) -> np.dtype:
        return jnp.dtype(dtype) if dtype == jnp.float64 else jnp.dtype(jnp.bfloat16)

    def adding(add: Callable) -> Callable:
        def rounded(self: EncoderLayer, *inputs: Any) -> tuple[jax.Array, Any]:
            total_BTD, taps = add(self, *inputs)
            return _round(total_BTD, bug.digits), taps

        return rounded

    def decode(self: MLMHead, *inputs: jax.Array) -> tuple[jax.Array, Any]:
        logits_BKV, taps = right_decode(self, *inputs)
        logits_BKV = _round(logits_BKV, bug.digits)
        return logits_BKV, taps._replace(logits=logits_BKV)

    right_decode = MLMHead.__call__
    lent: dict[Part, list[tuple[Any, str, Callable]]] = {
        "norms": [(jax_encoder.norm, "at_least_float32", narrow)],
        "softmax": [(jax_encoder.attention, "at_least_float32", narrow)],
        "residual stream": [
            (EncoderLayer, name, adding(getattr(EncoderLayer, name))) for name in ("_add_attention", "_add_mlp")
        ],
        "logits": [(MLMHead, "__call__", decode)],
    }
    return lent.get(bug.part, [])


@contextlib.contextmanager
def _patched(lent: Sequence[tuple[Any, str, Callable]]) -> Iterator[None]:
    with contextlib.ExitStack() as undo:
        for owner, name, value in lent:
            undo.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, value)
        yield


def _evaluate(program: ClosedJaxpr, arguments: Sequence[Any], narrow: Narrow) -> list[Any]:
    """Runs a traced program, the operands of its products narrowed."""
    values: dict[Any, Any] = {}

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else values[atom]

    values.update(zip(program.jaxpr.constvars, program.consts, strict=True))
    values.update(zip(program.jaxpr.invars, arguments, strict=True))
    for equation in program.jaxpr.eqns:
        inputs, name = [read(atom) for atom in equation.invars], equation.primitive.name
        if name in _INLINED:
            results = _evaluate(equation.params[_INLINED[name]], inputs, narrow)
        else:
            if name == "dot_general":
                inputs = [narrow(operand) for operand in inputs]
            options = {key: _rewritten(value, narrow) for key, value in equation.params.items()}
            found = equation.primitive.bind(*inputs, **equation.primitive.get_bind_params(options))
            results = found if equation.primitive.multiple_results else [found]
        values.update(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in program.jaxpr.outvars]


def _rewritten(option: Any, narrow: Narrow) -> Any:
    """The program inside a loop or a branch, operands narrowed; any other option as it is."""
    if isinstance(option, tuple) and any(isinstance(one, ClosedJaxpr) for one in option):
        return tuple(_rewritten(one, narrow) for one in option)
    if not isinstance(option, ClosedJaxpr):
        return option
    given: list[Any] = [variable.aval for variable in option.jaxpr.invars]
    shapes = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in given]
    return jax.make_jaxpr(lambda *arguments: _evaluate(option, arguments, narrow))(*shapes)


def _round(x: jax.Array, digits: int) -> jax.Array:
    """Rounds float32 to the nearest number of so many digits, ties to even; other dtypes stay."""
    if x.dtype != jnp.float32:
        return x
    return jax.lax.reduce_precision(x, exponent_bits=_EXPONENT_BITS, mantissa_bits=digits - 1)


def _cut(x: jax.Array, digits: int) -> jax.Array:
    """Cuts the digits of float32 off after so many; other dtypes stay."""
    if x.dtype != jnp.float32:
        return x
    kept = jax.lax.bitcast_convert_type(x, jnp.int32) & np.int32(-(1 << (24 - digits)))
    return jax.lax.bitcast_convert_type(kept, jnp.float32)


def _round_torch(x: torch.Tensor, digits: int) -> torch.Tensor:
    """As `_round`, by arithmetic on the bits: half of the last digit kept is added, and what lies below it cut off."""
    if x.dtype != torch.float32:
        return x
    drop = 24 - digits
    bits = x.contiguous().view(torch.int32)
    half_even = (1 << (drop - 1)) - 1 + ((bits >> drop) & 1)
    return ((bits + half_even) & ~((1 << drop) - 1)).view(torch.float32)
