"""How parameters of our two encoders correspond, and how they are drawn at random: tables only, no framework."""

import re
from collections.abc import Callable

import numpy as np

from jax_encoder.classifier_config import ClassifierConfig
from jax_encoder.config import EncoderConfig
from parity.cases.randomise import Rule
from parity.encoder.form import Form
from parity.encoder.table import Row, same
from parity.judge.locate import value_of

Layout = tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]
_AXES = (
    dict.fromkeys(("query", "rotated_query", "context"), "BTNH")
    | dict.fromkeys(("key", "value", "rotated_key"), "BSGH")
    | dict.fromkeys(("scores", "biased_scores", "masked_scores", "weights"), "BNTS")
    | dict.fromkeys(("content_to_position", "position_to_content"), "BNTS")
    | dict.fromkeys(("position_query", "position_key"), "RNH")
    | dict.fromkeys(("pre_activation", "up", "post_activation", "product"), "BTF")
    | {"logits": "BTV", "relative_bias": "NTS", "relative_embedding": "RD"}
)
TRANSPOSED: Layout = (lambda w_IO: w_IO.T, lambda w_OI: w_OI.T)


def rows(config: EncoderConfig) -> list[Row]:
    """How our parameters are called and laid out in torch; the only table of its kind."""
    D, H = config.embed_dim, config.head_dim
    split = (lambda w_DNH: w_DNH.reshape(D, -1).T, lambda w_CD: w_CD.T.reshape(D, -1, H))
    merge = (lambda w_NHD: w_NHD.reshape(-1, D).T, lambda w_DC: w_DC.T.reshape(-1, H, D))
    flat = (lambda b_NH: b_NH.reshape(-1), lambda b_C: b_C.reshape(-1, H))
    in_layers: tuple[tuple[str, str, Layout], ...] = (
        (r"(attention_norm|mlp_norm)\.scale", r"\1.weight", (same, same)),
        (r"(attention_norm|mlp_norm)\.bias", r"\1.bias", (same, same)),
        (r"attention\.(query|key|value|position_query|position_key)\.kernel", r"attention.\1.weight", split),
        (r"attention\.(query|key|value|position_query|position_key)\.bias", r"attention.\1.bias", flat),
        (r"attention\.out\.kernel", "attention.out.weight", merge),
        (r"attention\.out\.bias", "attention.out.bias", (same, same)),
        (r"mlp\.(gate|up|down)\.kernel", r"mlp.\1.weight", TRANSPOSED),
        (r"mlp\.(gate|up|down)\.bias", r"mlp.\1.bias", (same, same)),
    )
    stacked = range(0 if config.first_attention_norm else 1, len(set(config.layer_groups)))
    linear = r"encoder\.embedding_projection|head\.transform|pooler\.dense|classifier\.(?:transform|output)"
    norms = r"encoder\.(?:embedding|relative_embedding)\.norm|encoder\.final_norm|head\.norm|classifier\.norm"
    return [
        Row(r"encoder\.embedding\.(word|position|token_type)", r"encoder.embedding.\1.weight"),
        Row(r"encoder\.(relative_bias|relative_embedding)\.table", r"encoder.\1.table.weight", optional=True),
        Row(r"head\.decoder", "head.decoder.weight", optional=True),
        Row(rf"({norms})\.scale", r"\1.weight", optional=True),
        Row(rf"({norms})\.bias", r"\1.bias", optional=True),
        Row(rf"({linear})\.kernel", r"\1.weight", *TRANSPOSED, optional=True),
        Row(rf"({linear}|head)\.bias", r"\1.bias", optional=True),
        *(
            Row(rf"encoder\.layers\.{ours}", f"encoder.layers.{{layer}}.{theirs}", *layout, stacked, True)
            for ours, theirs, layout in in_layers
        ),
        *(
            Row(rf"encoder\.first\.{ours}", f"encoder.layers.0.{theirs}", *layout, optional=True)
            for ours, theirs, layout in in_layers
        ),
    ]


def draws(config: EncoderConfig) -> list[Rule]:
    """How each of our parameters is drawn at random."""
    D, F, C = config.embed_dim, config.mlp_dim, config.num_heads * config.head_dim
    return [
        Rule(r"encoder\.(embedding\.(word|position|token_type)|relative_(bias|embedding)\.table)", "table"),
        Rule(r"head\.decoder", "kernel", config.table_width),
        Rule(r"encoder\.embedding_projection\.kernel", "kernel", config.table_width),
        Rule(r".*\.scale", "scale"),
        Rule(r".*\.bias", "bias"),
        Rule(r".*\.(query|key|value|position_query|position_key|gate|up|transform|dense|output)\.kernel", "kernel", D),
        Rule(r".*\.out\.kernel", "kernel", C),
        Rule(r".*\.down\.kernel", "kernel", F),
    ]


def axes_of(site: str, form: Form) -> str:
    """The letters of a value's axes; of a parameter, in torch's layout: O out, I in. Nothing for a table, or a loss.

    Args:
        site: its name, or that of a derivative by it.
        form: of the model, which decides how wide the tables are and whether a classifier has positions.
    """
    name = value_of(site)
    part, _, last = name.rpartition(".")
    if last in ("weight", "bias"):
        tables = r"encoder\.embedding\.(word|position|token_type)|encoder\.relative_(bias|embedding)\.table"
        table = re.fullmatch(tables, part)
        return "" if table else "O" if last == "bias" or part.endswith("norm") else "OI"
    if part == "classifier":
        return _of_classifier(last, form.classifier)
    if part == "pooler" or name == "mean_pool":
        return "BD"
    if part in ("embedding", "head") and last != "logits":
        return "BTD" if form.config.table_dim is None else "BTE"
    return _AXES.get(last, "BTD" if name not in ("projection", "mlm", "trained") else "")


def _of_classifier(value: str, classes: ClassifierConfig | None) -> str:
    pooling = classes.pooling if classes else None
    positions = pooling is None or (pooling == "late" and value not in ("late_pooled", "logits"))
    return f"B{'T' * positions}{'C' if value == 'logits' else 'D'}"
