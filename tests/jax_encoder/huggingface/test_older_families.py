"""Nomic's published config files: its authors' names, alone or beside transformers'."""

import pytest

from jax_encoder import huggingface
from tests.jax_encoder.huggingface.helpers import (
    config_only,
    fields_in,
    refusal,
    save_with_transformers,
    tensors_in,
    write,
)

# As nomic-embed-text-v1.5 has it; v1 has a rotary_scaling_factor of 2.
AUTHORS = {
    "activation_function": "swiglu",
    "architectures": ["NomicBertModel"],
    "attn_pdrop": 0.0,
    "auto_map": {"AutoModel": "nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert.NomicBertModel"},
    "causal": False,
    "dense_seq_output": True,
    "embd_pdrop": 0.0,
    "fused_bias_fc": True,
    "fused_dropout_add_ln": True,
    "initializer_range": 0.02,
    "layer_norm_epsilon": 1e-12,
    "max_trained_positions": 2048,
    "mlp_fc1_bias": False,
    "mlp_fc2_bias": False,
    "model_type": "nomic_bert",
    "n_embd": 768,
    "n_head": 12,
    "n_inner": 3072,
    "n_layer": 12,
    "n_positions": 8192,
    "pad_vocab_size_multiple": 64,
    "parallel_block": False,
    "parallel_block_tied_norm": False,
    "prenorm": False,
    "qkv_proj_bias": False,
    "reorder_and_upcast_attn": False,
    "resid_pdrop": 0.0,
    "rotary_emb_base": 1000,
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None,
    "rotary_scaling_factor": None,
    "scale_attn_by_inverse_layer_idx": False,
    "scale_attn_weights": True,
    "summary_activation": None,
    "summary_first_dropout": 0.0,
    "summary_proj_to_labels": True,
    "summary_type": "cls_index",
    "summary_use_proj": True,
    "type_vocab_size": 2,
    "use_cache": True,
    "use_flash_attn": True,
    "use_rms_norm": False,
    "use_xentropy": True,
    "vocab_size": 30528,
}


def small(folder, **changed):
    """A small encoder's folder as transformers writes it, and the same with a config of its authors' names."""
    save_with_transformers("NomicBertModel", "nomic_bert", folder / "native")
    fields = fields_in(folder / "native")
    sizes = {"n_embd": "hidden_size", "n_head": "num_attention_heads", "n_inner": "intermediate_size"}
    sizes |= {"n_layer": "num_hidden_layers", "vocab_size": "vocab_size", "type_vocab_size": "type_vocab_size"}
    sizes |= {"n_positions": "max_position_embeddings", "layer_norm_epsilon": "layer_norm_eps"}
    sizes |= {"embd_pdrop": "hidden_dropout_prob", "resid_pdrop": "hidden_dropout_prob"}
    sizes |= {"attn_pdrop": "attention_probs_dropout_prob"}
    own = AUTHORS | {old: fields[new] for old, new in sizes.items()}
    own["rotary_emb_base"] = fields["rope_parameters"]["rope_theta"]
    return folder / "native", write(folder / "authors", own | changed, tensors_in(folder / "native"))


def test_the_authors_names_say_the_same_encoder(tmp_path):
    native, authors = small(tmp_path)
    expected, loaded = huggingface.load(native), huggingface.load(authors)
    assert loaded.config == expected.config
    assert loaded.params.keys() == expected.params.keys()
    huggingface.save(loaded, tmp_path / "saved")
    assert fields_in(tmp_path / "saved") | {"dtype": 0} == fields_in(authors) | {"dtype": 0}
    both = write(tmp_path / "both", fields_in(authors) | fields_in(native), tensors_in(native))
    assert huggingface.load(both).config == expected.config


def test_scaled_positions_turn_as_they_were_trained(tmp_path):
    native, authors = small(tmp_path, rotary_scaling_factor=2, max_trained_positions=13)
    assert huggingface.load(authors).config.max_len == 13
    said = refusal(write(tmp_path / "both", fields_in(authors) | fields_in(native), tensors_in(native)))
    assert "with rotary_scaling_factor, texts of more than 13 tokens would have other frequencies" in said


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"qkv_proj_bias": True}, "qkv_proj_bias=True: only False can be computed here"),
        ({"prenorm": True}, "prenorm=True: only False can be computed here"),
        ({"rotary_emb_fraction": 0.5}, "rotary_emb_fraction=0.5: only 1.0 can be computed here"),
        ({"activation_function": "gelu"}, "activation_function='gelu': only 'swiglu' can be computed here"),
        ({"hidden_size": 24}, "n_embd=768 and hidden_size=24: two names of one field"),
        ({"embd_pdrop": 0.1}, "embd_pdrop=0.1 and hidden_dropout_prob=0.0: two names of one field"),
        ({"rope_parameters": {"rope_theta": 500.0}}, "rope_theta or rotary_emb_base is not 500.0, which rope_param"),
        ({"made_up": 1}, "made_up=1: not known here, may change the function"),
    ],
)
def test_what_the_authors_options_would_change_is_told(tmp_path, changed, said):
    assert said in refusal(config_only(tmp_path, AUTHORS, **changed))


def test_an_option_that_is_left_out_has_the_authors_default(tmp_path):
    left = {name: value for name, value in AUTHORS.items() if name not in ("qkv_proj_bias", "rotary_emb_fraction")}
    said = refusal(config_only(tmp_path, left))
    assert "qkv_proj_bias=True: only False can be computed here" in said
    assert "rotary_emb_fraction=0.0: only 1.0 can be computed here" in said
