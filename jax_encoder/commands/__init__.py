"""The commands of `python -m jax_encoder`. Each loads JAX only when it runs."""
