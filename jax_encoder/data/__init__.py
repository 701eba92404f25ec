"""Text to documents to tokens to packed rows to masked batches. NumPy only: needs neither JAX nor torch."""
