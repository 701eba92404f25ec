"""Is your port the same function? `python examples/check_your_port.py` checks one that is not, and says where.

`port` is where yours goes: a module of your own in the place of one of the reference's.
"""

import sys

from torch import nn

import torch_ref
from jax_encoder import EncoderConfig
from parity.encoder.form import Form
from parity.encoder.pair import Pair
from parity.encoder.sides import TorchSide
from parity.encoder.subject import EncoderSubject, EncoderVariant
from parity.judge.check import check
from parity.judge.crash import running
from parity.judge.verdict import Verdict
from parity.report.text import render


class MyMLP(torch_ref.MLP):
    """A feed-forward block as it is often ported: with the other GELU."""

    def __init__(self, config: EncoderConfig):
        super().__init__(config)
        self.activation = nn.GELU(approximate="tanh")


def port(form: Form) -> TorchSide:
    """The reference with my block in its second layer."""
    side = TorchSide(form).double().eval()
    side.encoder.layers[1].mlp = MyMLP(form.config).double()
    return side


class MyVariant(EncoderVariant):
    """One encoder with my port in the reference's place, and the same random parameters in both."""

    def build(self) -> Pair:
        pair = Pair.build(self.form)
        with running("torch"):  # what my code raises is reported as its own
            mine = port(self.form)
        pair.load(mine)
        return pair.with_torch(mine)


class MySubject(EncoderSubject):
    """What is compared."""

    name = "jax_encoder against my port"

    def variants(self) -> dict[str, EncoderVariant]:
        return {"mine": MyVariant(Form(EncoderConfig.tiny()))}


report = check(MySubject(), cases=["ragged"])
print(render(report), end="")
sys.exit(report.verdict is not Verdict.PASS)
