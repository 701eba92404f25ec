"""Mistakes that leave the function as it is and lose digits: a catalogue, as data.

`parity.judge.rounding.fewer_digits` plants them in our side.
"""

import dataclasses
from typing import Literal

from parity.judge.bug import Bug
from parity.judge.verdict import Verdict

Part = Literal["products", "norms", "softmax", "residual stream", "logits", "everything"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrecisionBug(Bug):
    """One part of the program computed in fewer digits than asked for.

    Attributes:
        part: which.
        digits: of the mantissa that it keeps, the leading one included: 24 is float32, 11 TF32, 8 bfloat16.
        cuts: whether further digits are cut off, as some tensor cores do; else the nearest number is taken.
        asked: the dtype that the program is asked for.
        tier: the verdict that it must be given.
    """

    part: Part
    digits: int
    cuts: bool = False
    asked: str = "float32"
    tier: Verdict = Verdict.FAIL_PRECISION


_PRODUCTS = (
    r"(layers\.\d+\.(attention\.(query|key|value|scores|context|output)|mlp\.(pre_activation|up|output))"
    r"|head\.(transform|logits)|pooler\.dense)"
)

PRECISION_BUGS = (
    PrecisionBug(
        name="matmul-tf32",
        mistake="matrix products in TF32: operands keep 11 of float32's 24 digits",
        where=_PRODUCTS,
        source="jax#10413",
        part="products",
        digits=11,
    ),
    PrecisionBug(
        name="matmul-bf16",
        mistake="matrix products in bfloat16: operands keep 8 of float32's 24 digits",
        where=_PRODUCTS,
        source="jax#9973",
        part="products",
        digits=8,
    ),
    PrecisionBug(
        name="softmax-bf16",
        mistake="scores and softmax in bfloat16",
        where=r"layers\.\d+\.attention\.(scores|masked_scores|weights)",
        part="softmax",
        digits=8,
    ),
    PrecisionBug(
        name="norm-low-precision",
        mistake="the statistics of the norms in bfloat16",
        where=r"(embedding\.norm|final_norm|head\.norm|layers\.\d+\.(attention|mlp)_norm)",
        part="norms",
        digits=8,
    ),
    PrecisionBug(
        name="residual-stream-bf16",
        mistake="the residual stream kept in bfloat16",
        where=r"layers\.\d+\.(attention|mlp)_residual",
        part="residual stream",
        digits=8,
    ),
    PrecisionBug(
        name="logits-bf16",
        mistake="the logits in bfloat16",
        where=r"head\.logits",
        part="logits",
        digits=8,
    ),
    PrecisionBug(
        name="x64-off",
        mistake="float64 asked for, float32 computed: jax_enable_x64 is off",
        where=r"embedding\.word",
        source="jax#9973",
        part="everything",
        digits=24,
        asked="float64",
        tier=Verdict.FAIL_SEMANTIC,
    ),
)
