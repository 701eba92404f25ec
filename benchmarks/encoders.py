"""Texts to vectors, each side in a process of its own, all with one checkpoint."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.workers import Record, serve, timed

Encode = Callable[[list[str]], Any]
# Texts whose vectors are handed on, so that the sides can be compared.
_SHOWN = 32


def prepared(spec: Record) -> tuple[Record, Callable[[], Record]]:
    """Reads the checkpoint and encodes all texts once.

    Args:
        spec: "by", "folder", "texts" (how many) and "batch_size".
    """
    from benchmarks.encode import sentences

    texts = sentences(spec["texts"])
    encode = {"ours": _ours, "torch": _torch, "onnx": _onnx}[spec["by"]](spec["folder"], spec["batch_size"])
    vectors = encode(texts[:_SHOWN])
    first = timed(lambda: encode(texts))["seconds"]
    shown = [[float(value) for value in vector] for vector in vectors]
    return {"first_seconds": first, "vectors": shown}, lambda: timed(lambda: encode(texts)) | {"units": len(texts)}


def _ours(folder: str, batch_size: int) -> Encode:
    from jax_encoder.encode import TextEncoder

    encoder = TextEncoder.from_pretrained(folder)
    return lambda texts: encoder.encode(texts, batch_size)


def _torch(folder: str, batch_size: int) -> Encode:
    return _encode_of(_sentence_transformer(folder), batch_size)


def _encode_of(model: Any, batch_size: int) -> Encode:
    return lambda texts: model.encode(texts, batch_size=batch_size, show_progress_bar=False)


def _sentence_transformer(folder: str) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(folder, device="cpu")


def _onnx(folder: str, batch_size: int) -> Encode:
    """sentence-transformers with its network on ONNX Runtime, fused by ONNX Runtime's own optimizer for BERT.

    By hand what `backend="onnx"` does there: that needs optimum-onnx, which wants transformers before 4.58.
    """
    import onnxruntime
    import torch
    from transformers.modeling_outputs import BaseModelOutput

    model = _sentence_transformer(folder)
    network = model[0].model

    class OnnxNetwork(torch.nn.Module):
        """Takes the place of transformers' class."""

        def __init__(self, session: Any):
            super().__init__()
            self.session, self.config, self.dtype = session, network.config, torch.float32
            self.names = [one.name for one in session.get_inputs()]

        def forward(self, **features: Any) -> BaseModelOutput:
            given = {name: features[name].numpy() for name in self.names}
            return BaseModelOutput(last_hidden_state=torch.from_numpy(self.session.run(None, given)[0]))

    with tempfile.TemporaryDirectory() as place:
        path = _exported(network, Path(place))
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    model[0].model = OnnxNetwork(session)
    return _encode_of(model, batch_size)


def _exported(network: Any, place: Path) -> str:
    """The network as an ONNX file of fused operations."""
    import torch
    from onnxruntime.transformers import optimizer
    from onnxruntime.transformers.fusion_options import FusionOptions

    class Hidden(torch.nn.Module):
        """The network with three arguments and one output."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, tokens: torch.Tensor, attended: torch.Tensor, kinds: torch.Tensor) -> torch.Tensor:
            return self.network(input_ids=tokens, attention_mask=attended, token_type_ids=kinds).last_hidden_state

    # ONNX Runtime's optimizer knows attention when it is written out.
    network.set_attn_implementation("eager")
    names = ("input_ids", "attention_mask", "token_type_ids")
    example = tuple(torch.ones(2, 16, dtype=torch.int64) for _ in names)
    axes = {0: "batch", 1: "columns"}
    plain, fused = str(place / "plain.onnx"), str(place / "fused.onnx")
    torch.onnx.export(
        Hidden().eval(),
        example,
        plain,
        input_names=list(names),
        output_names=["last_hidden_state"],
        dynamic_axes={**dict.fromkeys(names, axes), "last_hidden_state": axes},
        opset_version=17,
        dynamo=False,
    )
    options = FusionOptions("bert")
    heads, width = network.config.num_attention_heads, network.config.hidden_size
    optimizer.optimize_model(
        plain, model_type="bert", num_heads=heads, hidden_size=width, optimization_options=options, opt_level=1
    ).save_model_to_file(fused)
    return fused


if __name__ == "__main__":
    serve(prepared)
