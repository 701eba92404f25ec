"""The commands of `jax-encoder`. Each loads JAX only when it runs."""
