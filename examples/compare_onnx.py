"""Is the file that you ship the model that you trained? `python examples/compare_onnx.py` compares one that is not.

The file is written by hand here; yours comes from `torch.onnx.export`. Needs `pip install onnx`.
"""

import sys

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import parity

mine = nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.LayerNorm(8))
random = np.random.default_rng(0)
for parameter in mine.parameters():
    parameter.data += nn.init.normal_(parameter.data.clone(), std=0.3)

weight, bias, scale, shift = (parameter.detach().numpy() for parameter in mine.parameters())
file = helper.make_model(
    helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "weight", "bias"], ["dense"], name="/0/Gemm", transB=1),
            helper.make_node("Gelu", ["dense"], ["active"], name="/1/Gelu", approximate="tanh"),
            helper.make_node("LayerNormalization", ["active", "scale", "shift"], ["y"], name="/2/LayerNorm"),
        ],
        "shipped",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 8])],
        [
            numpy_helper.from_array(value, name)
            for name, value in {"weight": weight, "bias": bias, "scale": scale, "shift": shift}.items()
        ],
    ),
    opset_imports=[helper.make_opsetid("", 20)],
)

report = parity.compare(
    parity.onnx(file),
    parity.torch(mine, inputs={"x": "input"}),
    inputs={"x": random.normal(size=(5, 6)).astype(np.float32)},
)
print(report, end="")
sys.exit(report.verdict != "PASS")
