"""Tells whether two programs compute the same function, value by value.

`parity.compare(parity.jax(ours), parity.torch(theirs), inputs={...})` compares any two models, whoever wrote them.
Neither framework is imported before it is asked for.
"""

from typing import Any

from parity.errors import UsageError
from parity.models.compare import Report, compare_models
from parity.models.side import Names, Side

__all__ = ["Report", "compare", "jax", "onnx", "torch"]

compare = compare_models


def jax(model: Any, variables: Any = None, *, inputs: Names = None) -> Side:
    """A JAX model as one side of a comparison: an NNX or Linen module, any callable pytree, or a function.

    Args:
        model: what is called with the inputs. Give it as it is evaluated: with dropout off.
        variables: of a Linen module, or what a function takes as its first argument.
        inputs: names in the order of positional arguments, or an input's name -> the argument's.
    """
    from parity.models.jax_side import JaxSide

    return JaxSide(model, variables, inputs)


def onnx(file: Any, *, inputs: Names = None) -> Side:
    """A model in ONNX as one side of a comparison.

    Args:
        file: its path, or the model that `onnx.load` gives.
        inputs: names in the order of the graph's inputs, or an input's name -> the graph's.

    Raises:
        UsageError: onnx is not installed, or cannot run the file node by node.
    """
    try:
        from parity.models.onnx_side import OnnxSide
    except ImportError as error:
        raise UsageError(f"comparing an ONNX file needs a package more: pip install onnx ({error})") from error
    return OnnxSide(file, inputs)


def torch(model: Any, *, inputs: Names = None) -> Side:
    """A PyTorch module or function as one side of a comparison.

    Args:
        model: what is called with the inputs. Give it as it is evaluated: after `eval()`.
        inputs: names in the order of positional arguments, or an input's name -> the argument's.
    """
    from parity.models.torch_side import TorchSide

    return TorchSide(model, inputs)
