"""Tells whether two programs compute the same function, value by value.

`parity.compare(parity.jax(ours), parity.torch(theirs), inputs={...})` compares any two models, whoever wrote them.
Nothing is imported before it is asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parity.models.compare import Report
    from parity.models.compare import compare_models as compare

__all__ = ["Report", "compare", "jax", "onnx", "torch"]

_LAZY = {"Report": "Report", "compare": "compare_models"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'parity' has no attribute {name!r}")
    from parity.models import compare

    return getattr(compare, _LAZY[name])


def jax(model: Any, variables: Any = None, *, inputs: Any = None) -> Any:
    """A JAX model as one side of a comparison: an NNX or Linen module, any callable pytree, or a function.

    Args:
        model: what is called with the inputs. Give it as it is evaluated: with dropout off.
        variables: of a Linen module, or what a function takes as its first argument.
        inputs: names in the order of positional arguments, or an input's name -> the argument's.
    """
    from parity.models.jax_side import JaxSide

    return JaxSide(model, variables, inputs)


def onnx(file: Any, *, inputs: Any = None) -> Any:
    """A model in ONNX as one side of a comparison.

    Args:
        file: its path, or the model that `onnx.load` gives.
        inputs: names in the order of the graph's inputs, or an input's name -> the graph's.

    Raises:
        UsageError: onnx is not installed, or cannot run the file node by node.
    """
    from parity.errors import UsageError

    try:
        from parity.models.onnx_side import OnnxSide
    except ImportError as error:
        raise UsageError(f"comparing an ONNX file needs a package more: pip install onnx ({error})") from error
    return OnnxSide(file, inputs)


def torch(model: Any, *, inputs: Any = None) -> Any:
    """A PyTorch module or function as one side of a comparison.

    Args:
        model: what is called with the inputs. Give it as it is evaluated: after `eval()`.
        inputs: names in the order of positional arguments, or an input's name -> the argument's.
    """
    from parity.models.torch_side import TorchSide

    return TorchSide(model, inputs)
