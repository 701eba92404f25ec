"""Checkpoints that were never read: written for a class of a family, or refused with what it lacks."""

import dataclasses

import numpy as np
import pytest

from jax_encoder import huggingface
from jax_encoder.classifier_config import ClassifierConfig
from jax_encoder.config import EncoderConfig
from jax_encoder.errors import InputError
from jax_encoder.huggingface import FAMILIES, Checkpoint, checkpoint
from jax_encoder.huggingface.checkpoint import differences
from jax_encoder.huggingface.publish import published
from jax_encoder.model import MASKED_LM, Parts, shapes_of
from tests.jax_encoder.huggingface.helpers import assert_same_tensors, fields_in
from tests.jax_encoder.huggingface.made import wordpiece
from tests.jax_encoder.huggingface.published_configs import PUBLISHED


def drawn(config: EncoderConfig, parts: Parts) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes_of(config, parts).items()}


def new(config: EncoderConfig, parts: Parts, family: str, architecture: str) -> Checkpoint:
    """A checkpoint that was never read."""
    return Checkpoint(config, parts, drawn(config, parts), family, architecture, {}, None)


def small(family: str) -> EncoderConfig:
    names = {"distilbert": ("dim", "n_layers", "n_heads", "hidden_dim")}
    theirs = names.get(family, ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"))
    values = {"vocab_size": 31, "max_position_embeddings": 17} | dict(zip(theirs, (12, 2, 3, 20), strict=True))
    return FAMILIES[family].read(checkpoint.Fields(values, family))


RELATIVE = {
    "microsoft/deberta-v3-base": "deberta-v2",
    "sentence-transformers/sentence-t5-base": "t5",
    "jinaai/jina-embeddings-v2-base-en": "jina-bert",
}


def config_of(name: str) -> EncoderConfig:
    return FAMILIES[RELATIVE[name]].read(checkpoint.Fields(PUBLISHED[name], name))


def test_what_the_class_has_no_tensors_for_is_refused(tmp_path):
    config = small("distilbert")
    with pytest.raises(
        InputError, match=r"distilbert has no tensors for:\n  pooler\.dense\.bias\n  pooler\.dense\.ker"
    ):
        huggingface.save(new(config, Parts(True, True, None), "distilbert", "DistilBertForMaskedLM"), tmp_path)


def test_a_new_checkpoint_of_any_class_of_a_family_says_its_model_type(tmp_path):
    config = small("roberta")
    for architecture, model_type in (("CamembertForMaskedLM", "camembert"), ("RobertaForMaskedLM", "roberta")):
        made = new(config, Parts(True, False, None), "roberta", architecture)
        huggingface.save(made, tmp_path)
        loaded = huggingface.load(tmp_path)
        assert (loaded.config, loaded.architecture, loaded.fields["model_type"]) == (config, architecture, model_type)
        assert_same_tensors(loaded.params, made.params)
    for architecture, fields in (("BertForMaskedLM", {}), ("RobertaForMaskedLM", {"model_type": "camembert"})):
        made = dataclasses.replace(made, architecture=architecture, fields=fields)
        with pytest.raises(InputError, match=f"the class must be one of .*, got '{architecture}'"):
            huggingface.save(made, tmp_path)


def test_transformers_reads_a_new_classifier_with_all_of_its_weights(tmp_path):
    import torch
    import transformers

    config = small("bert")
    form = ClassifierConfig(num_classes=5, pooling="first", activation="tanh", transform_bias=True, norm=False)
    made = new(config, Parts(False, False, form), "bert", "BertForSequenceClassification")
    huggingface.save(made, tmp_path)
    model, told = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(told[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert (type(model).__name__, model.num_labels, model.config.id2label[4]) == (made.architecture, 5, "LABEL_4")
    torch.testing.assert_close(model.classifier.weight.detach().numpy().T, made.params["classifier.output.kernel"])
    loaded = huggingface.load(tmp_path)
    assert loaded.parts == made.parts
    huggingface.save(loaded, tmp_path / "again")
    assert fields_in(tmp_path / "again") == fields_in(tmp_path)


def test_a_classifier_that_the_class_does_not_have_is_refused(tmp_path):
    form = ClassifierConfig(num_classes=5, pooling="mean", activation="tanh", transform_bias=True, norm=False)
    made = new(small("bert"), Parts(False, False, form), "bert", "BertForSequenceClassification")
    with pytest.raises(InputError, match=r"BertForSequenceClassification has classifier .*'first'.* got .*'mean'"):
        huggingface.save(made, tmp_path)
    with pytest.raises(InputError, match="BertForMaskedLM has classifier None, got "):
        huggingface.save(dataclasses.replace(made, architecture="BertForMaskedLM"), tmp_path)


@pytest.mark.parametrize(
    ("config", "family"),
    [
        (EncoderConfig.bert_base(), "bert"),
        (EncoderConfig.minilm_l6(), "bert"),
        (EncoderConfig.roberta_base(), "roberta"),
        (EncoderConfig.modernbert_base(), "modernbert"),
        *((small(name), name) for name in ("distilbert", "electra", "albert", "mpnet", "eurobert")),
        *((config_of(name), family) for name, family in RELATIVE.items()),
    ],
)
def test_an_encoder_finds_the_first_family_that_has_its_form(config, family):
    assert huggingface.family_for(config).name == family
    assert differences(config, FAMILIES[family]) == []


def test_an_encoder_of_no_family_is_told_what_each_lacks():
    config = dataclasses.replace(EncoderConfig.bert_base(), norm_bias=False, head_dim=32, scan_layers=False)
    with pytest.raises(InputError) as refused:
        huggingface.family_for(config)
    first, *lines = str(refused.value).splitlines()
    assert first == "no published family has an encoder like this:"
    assert [line.split(":")[0].strip() for line in lines] == list(FAMILIES)
    assert lines[0] == ("  bert: head_dim=32, where the family has 64; norm_bias=False, where the family has True")
    (euro,) = (line for line in lines if line.startswith("  eurobert: "))
    assert euro.startswith("  eurobert: num_token_types=2, where the family has 0; position_kind='learned', where")
    assert euro.endswith(" ...")
    # What a family cannot even write down is told in the words of its own config.
    rope = dataclasses.replace(EncoderConfig.modernbert_base(), windows=(None,) * 22, rope_thetas=(3e4,) * 22)
    assert differences(rope, FAMILIES["modernbert"]) == []
    mixed = dataclasses.replace(rope, rope_thetas=(1e4, *rope.rope_thetas[1:]))
    assert differences(mixed, FAMILIES["modernbert"])[0].startswith("rope_thetas=(10000.0, ")
    # ALBERT's layers come in groups, one after the other.
    there_and_back = dataclasses.replace(small("albert"), num_layers=3, layer_groups=(0, 1, 0), windows=(None,) * 3)
    assert differences(there_and_back, FAMILIES["albert"]) == ["layer_groups=(0, 1, 0), where the family has (0, 0, 1)"]
    huge = dataclasses.replace(
        EncoderConfig.bert_base(), num_layers=2000, layer_groups=tuple(range(2000)), windows=(None,) * 2000
    )
    assert differences(huge, FAMILIES["bert"]) == ["num_hidden_layers=2000: must be a whole number from 0 to 1024"]


def test_a_tokenizer_is_handed_on_as_training_used_it(tmp_path):
    from transformers import AutoTokenizer

    tokenizer = wordpiece(frame=False, marked=False)
    tokenizer.enable_truncation(3)
    made = published(small("bert"), drawn(small("bert"), MASKED_LM), tokenizer)
    huggingface.save(made, tmp_path)
    theirs, ours = AutoTokenizer.from_pretrained(tmp_path), huggingface.load(tmp_path).tokenizer
    for text in ("paris is the [MASK]", ""):
        assert theirs(text).tokens() == ours.encode(text).tokens == ["[CLS]", *text.split(), "[SEP]"]
    assert tokenizer.encode("").ids == []  # the trainer's own is left alone
