"""Binds the core to our two encoders: the only package that sees both `jax_encoder` and `torch_ref`."""
