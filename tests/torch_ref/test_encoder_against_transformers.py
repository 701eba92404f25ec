"""The reference against Hugging Face's BERT, RoBERTa and ModernBERT: random parameters, float64, ragged batches."""

import dataclasses
from types import ModuleType

import pytest
import torch
import transformers
from transformers.models.modernbert import modeling_modernbert

from tests.torch_ref.helpers import TINY, assert_agree, draw_keeps, integers, ragged_batch, random_projection, randomise
from torch_ref import Encoder, MaskedLM, Pooler, masks

BERT = dataclasses.replace(TINY, embed_dim=24, attention_dropout=0.3, embedding_dropout=0.2, residual_dropout=0.2)
ROBERTA = dataclasses.replace(BERT, num_token_types=1, position_offset=2, norm_eps=1e-5)
MODERNBERT = dataclasses.replace(
    BERT,
    num_layers=4,
    layer_groups=(0, 1, 2, 3),
    num_token_types=0,
    position_kind="rotary",
    rope_thetas=(160_000.0, 10_000.0, 10_000.0, 160_000.0),
    windows=(None, 2, 2, None),
    norm_order="pre",
    norm_eps=1e-5,
    norm_bias=False,
    first_attention_norm=False,
    final_norm=True,
    mlp_kind="gated",
    attention_bias=False,
    mlp_bias=False,
    mlp_down_bias=False,
    mlm_transform_bias=False,
)

# Replaced one after the other; strict loading proves that every name was found.
BERT_NAMES = {
    "encoder.layer.": "layers.",
    "roberta.": "encoder.",
    "bert.": "encoder.",
    "embeddings.word_embeddings": "embedding.word",
    "embeddings.position_embeddings": "embedding.position",
    "embeddings.token_type_embeddings": "embedding.token_type",
    "embeddings.LayerNorm": "embedding.norm",
    "attention.self.": "attention.",
    "attention.output.dense": "attention.out",
    "attention.output.LayerNorm": "attention_norm",
    "intermediate.dense": "mlp.up",
    "output.dense": "mlp.down",
    "output.LayerNorm": "mlp_norm",
    "cls.predictions.transform.dense": "head.transform",
    "cls.predictions.transform.LayerNorm": "head.norm",
    "cls.predictions.bias": "head.bias",
    "lm_head.dense": "head.transform",
    "lm_head.layer_norm": "head.norm",
    "lm_head.bias": "head.bias",
}
MODERNBERT_NAMES = {
    "head.dense": "head.transform",
    "decoder.bias": "head.bias",
    "model.": "encoder.",
    "embeddings.tok_embeddings": "embedding.word",
    "embeddings.norm": "embedding.norm",
    "attn_norm": "attention_norm",
    "attn.Wo": "attention.out",
    "attn.": "attention.",
    "mlp.Wo": "mlp.down",
}
MODERNBERT_PACKED = {"attention.Wqkv": ("query", "key", "value"), "mlp.Wi": ("gate", "up")}


def to_ours(theirs, names, packed=None):
    """Renames what is one tensor there and here, and cuts up what is packed there."""
    ours = {}
    for name, value in theirs.items():
        for old, new in names.items():
            name = name.replace(old, new)
        owner, _, kind = name.rpartition(".")
        parts = next((parts for old, parts in (packed or {}).items() if owner.endswith(old)), None)
        if parts is None:
            ours[name] = value
        else:
            block = owner.rpartition(".")[0]
            ours |= {f"{block}.{p}.{kind}": v for p, v in zip(parts, value.chunk(len(parts)), strict=True)}
    return ours


def sizes(config):
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.embed_dim,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "intermediate_size": config.mlp_dim,
        "attn_implementation": "eager",
        "pad_token_id": 0,
    }


def bert_config():
    return transformers.BertConfig(
        **sizes(BERT),
        max_position_embeddings=BERT.max_len,
        type_vocab_size=BERT.num_token_types,
        layer_norm_eps=BERT.norm_eps,
        hidden_act="gelu",
        hidden_dropout_prob=BERT.residual_dropout,
        attention_probs_dropout_prob=BERT.attention_dropout,
    )


def load(ours, theirs, names, packed=None):
    """`named_parameters` gives tied tensors once, under the name of their first owner."""
    ours.double().load_state_dict(to_ours(dict(theirs.named_parameters()), names, packed), strict=True)
    return ours


def assert_same_gradients(ours, theirs, names, packed=None):
    expected = to_ours({name: p.grad for name, p in theirs.named_parameters()}, names, packed)
    assert {name for name, _ in ours.named_parameters()} == expected.keys()
    largest = max(gradient.abs().max() for gradient in expected.values())
    for name, parameter in ours.named_parameters():
        # Relative to the whole: the key bias has gradient 0 but for rounding.
        assert (parameter.grad - expected[name]).abs().max() <= 1e-12 * largest, name


def assert_same_states(taps, layer_outputs, hidden_states, attentions, valid_BT):
    """Embeddings and every layer's output and weights, at the positions that are not padding."""
    for ours, theirs in zip(layer_outputs, hidden_states, strict=True):
        assert_agree(ours[valid_BT], theirs[valid_BT])
    for layer, weights_BNTS in zip(taps.layers, attentions, strict=True):
        assert_agree(layer.attention.weights.transpose(1, 2)[valid_BT], weights_BNTS.transpose(1, 2)[valid_BT])


def test_bert_with_pooler():
    theirs = randomise(transformers.BertModel(bert_config()).eval())
    state = dict(theirs.named_parameters())
    pooler = Pooler(BERT).double()
    pooler.load_state_dict({k: state.pop(f"pooler.{k}") for k in ("dense.weight", "dense.bias")}, strict=True)
    ours = Encoder(BERT).double()
    ours.load_state_dict(to_ours(state, BERT_NAMES), strict=True)

    batch, token_types_BT = ragged_batch(), integers(0, 4, (5, 9), seed=6)
    x_BTD, taps = ours(batch.tokens, batch.mask, token_types_BT=token_types_BT)
    expected = theirs(
        batch.tokens, batch.valid.long(), token_types_BT, output_hidden_states=True, output_attentions=True
    )
    outputs = [taps.embedding.norm, *(layer.mlp_norm for layer in taps.layers)]
    assert_same_states(taps, outputs, expected.hidden_states, expected.attentions, batch.valid)
    first_B = batch.valid[:, 0]
    assert_agree(pooler(x_BTD)[0][first_B], expected.pooler_output[first_B])


def test_bert_masked_lm_and_its_gradients():
    theirs = randomise(transformers.BertForMaskedLM(bert_config()).eval())
    ours = load(MaskedLM(BERT), theirs, BERT_NAMES)
    batch, token_types_BT = ragged_batch(), integers(0, 4, (5, 9), seed=6)
    positions_BT = integers(0, 37, (5, 9), seed=7)
    logits_BTV, _ = ours(batch.tokens, batch.mask, positions_BT, token_types_BT)
    expected = theirs(batch.tokens, batch.valid.long(), token_types_BT, positions_BT)
    assert_agree(logits_BTV[batch.valid], expected.logits[batch.valid])

    random_projection(logits_BTV[batch.valid]).backward()
    random_projection(expected.logits[batch.valid]).backward()
    assert_same_gradients(ours, theirs, BERT_NAMES)


def test_bert_in_training_with_the_same_dropout(monkeypatch):
    theirs = randomise(transformers.BertForMaskedLM(bert_config()).train())
    ours = load(MaskedLM(BERT), theirs, BERT_NAMES)
    batch = ragged_batch()
    keeps, order = draw_keeps(BERT, B=5, T=9)
    rates = []

    def drop(x, p, training=True, inplace=False):
        rates.append(p)
        return torch.where(order.pop(0), x / (1 - p), 0)

    monkeypatch.setattr(torch.nn.functional, "dropout", drop)
    logits_BTV, _ = ours(batch.tokens, batch.mask, keeps=keeps)
    expected = theirs(batch.tokens, batch.valid.long())
    assert rates == [0.2, *[0.3, 0.2, 0.2] * 2]
    assert_agree(logits_BTV[batch.valid], expected.logits[batch.valid])


def test_roberta_whose_positions_start_at_row_2():
    config = transformers.RobertaConfig(
        **sizes(ROBERTA) | {"pad_token_id": 1},
        max_position_embeddings=ROBERTA.max_len + 2,
        type_vocab_size=1,
        layer_norm_eps=ROBERTA.norm_eps,
        hidden_act="gelu",
    )
    theirs = randomise(transformers.RobertaForMaskedLM(config).eval())
    ours = load(MaskedLM(ROBERTA), theirs, BERT_NAMES)
    batch = ragged_batch()
    # RoBERTa takes the padding id for padding, wherever it stands, and counts the tokens only.
    tokens_BT = batch.tokens.masked_fill(batch.tokens == 1, 60).masked_fill(~batch.valid, 1)
    positions_BT = masks.positions_from_segments(batch.valid.long())
    logits_BTV, taps = ours(tokens_BT, batch.mask, positions_BT)
    expected = theirs(tokens_BT, batch.valid.long(), output_hidden_states=True, output_attentions=True)
    outputs = [taps.encoder.embedding.norm, *(layer.mlp_norm for layer in taps.encoder.layers)]
    assert_same_states(taps.encoder, outputs, expected.hidden_states, expected.attentions, batch.valid)
    assert_agree(logits_BTV[batch.valid], expected.logits[batch.valid])


class Float64Torch(ModuleType):
    """torch, but whoever asks it for float32 gets float64."""

    float = float32 = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


@pytest.fixture
def modernbert(monkeypatch):
    """ModernBERT computes rotation and softmax in float32 whatever its dtype; here, in float64."""
    monkeypatch.setattr(modeling_modernbert, "torch", Float64Torch("torch"))
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    config = transformers.ModernBertConfig(
        **sizes(MODERNBERT),
        max_position_embeddings=MODERNBERT.max_len,
        norm_eps=MODERNBERT.norm_eps,
        local_attention=4,  # two to each side
        layer_types=["full_attention" if window is None else "sliding_attention" for window in MODERNBERT.windows],
        **{f"{name}_token_id": 0 for name in ("bos", "eos", "cls", "sep")},
    )
    return randomise(transformers.ModernBertForMaskedLM(config).eval())


def test_modernbert_and_its_gradients(modernbert):
    ours = load(MaskedLM(MODERNBERT), modernbert, MODERNBERT_NAMES, MODERNBERT_PACKED)
    batch = ragged_batch()
    logits_BTV, taps = ours(batch.tokens, batch.mask)
    expected = modernbert(batch.tokens, batch.valid.long(), output_hidden_states=True, output_attentions=True)
    outputs = [taps.encoder.embedding.norm, *(layer.mlp_residual for layer in taps.encoder.layers)]
    outputs[-1] = taps.encoder.final_norm  # the last of transformers' hidden states is the normalised one
    assert_same_states(taps.encoder, outputs, expected.hidden_states, expected.attentions, batch.valid)
    assert_agree(logits_BTV[batch.valid], expected.logits[batch.valid])

    random_projection(logits_BTV[batch.valid]).backward()
    random_projection(expected.logits[batch.valid]).backward()
    assert_same_gradients(ours, modernbert, MODERNBERT_NAMES, MODERNBERT_PACKED)


def test_modernbert_on_given_positions(modernbert):
    ours = load(Encoder(MODERNBERT), modernbert.model, MODERNBERT_NAMES, MODERNBERT_PACKED)
    batch, positions_BT = ragged_batch(), integers(0, 1000, (5, 9), seed=7)
    x_BTD, _ = ours(batch.tokens, batch.mask, positions_BT)
    expected = modernbert.model(batch.tokens, batch.valid.long(), positions_BT).last_hidden_state
    assert_agree(x_BTD[batch.valid], expected[batch.valid])
