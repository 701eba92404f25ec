"""Binds the core to jax_encoder and to transformers' own classes, family by family."""
