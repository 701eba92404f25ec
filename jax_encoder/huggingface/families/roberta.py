"""RoBERTa: Liu et al. (2019), https://arxiv.org/abs/1907.11692; XLM-R (Conneau et al. 2020,
https://arxiv.org/abs/1911.02116) and CamemBERT (Martin et al. 2020, https://arxiv.org/abs/1911.03894) have its form.
"""

from typing import Any

from jax_encoder.config import EncoderConfig
from jax_encoder.huggingface import options
from jax_encoder.huggingface.families.bert import COMMON, EMBEDDING, TOKEN_TYPES, bert_layer, read_common
from jax_encoder.huggingface.family import Family, Head, first_token_classes, numbered, token_classes
from jax_encoder.huggingface.fields import Fields
from jax_encoder.huggingface.rows import linear, norm, table

_OPTIONS = (*COMMON, TOKEN_TYPES)


def _read(fields: Fields) -> EncoderConfig:
    # transformers' default for the two others is BERT's.
    vocab_size = 50_265 if fields.take("model_type", "roberta") == "roberta" else 30_522
    common = read_common(options.with_defaults(_OPTIONS, {"vocab_size": vocab_size}), fields)
    # Position 0 has the row after the padding token's number.
    offset = fields.number("pad_token_id", 1) + 1
    return EncoderConfig(
        **common
        | {
            "max_len": common["max_len"] - offset,
            "position_offset": offset,
            "mlm_activation": "gelu_exact",
        }
    )


def _write(config: EncoderConfig) -> dict[str, Any]:
    return options.write(_OPTIONS, config) | {
        "max_position_embeddings": config.max_len + config.position_offset,
        "pad_token_id": config.position_offset - 1,
    }


_POOLER = tuple(linear("roberta.pooler.dense", "pooler.dense"))
# MPNet and ESM call these alike.
LM_HEAD = (
    *linear("lm_head.dense", "head.transform"),
    *norm("lm_head.layer_norm", "head.norm"),
    *table("lm_head.decoder.weight", "head.decoder"),
    *table("lm_head.bias", "head.bias"),
)
CLASSES = (*linear("classifier.dense", "classifier.transform"), *linear("classifier.out_proj", "classifier.output"))

FAMILY = Family(
    model_types=("roberta", "xlm-roberta", "camembert"),
    classes=("Roberta", "XLMRoberta", "Camembert"),
    prefix="roberta.",
    read=_read,
    write=_write,
    embedding=EMBEDDING,
    layer=bert_layer,
    layer_names=numbered("encoder.layer"),
    heads={
        "Model": Head(optional=(_POOLER,)),
        "ForMaskedLM": Head(rows=LM_HEAD, optional=(_POOLER,)),
        "ForSequenceClassification": Head(rows=CLASSES, optional=(_POOLER,), classes=first_token_classes("tanh")),
        "ForTokenClassification": Head(
            rows=tuple(linear("classifier", "classifier.output")), optional=(_POOLER,), classes=token_classes
        ),
        "ForQuestionAnswering": Head(
            rows=tuple(linear("qa_outputs", "classifier.output")), optional=(_POOLER,), classes=token_classes
        ),
    },
    tied="lm_head.decoder.weight",
    duplicates={"lm_head.decoder.bias": "lm_head.bias"},
)
