"""A program cut at its named values, JAX's and torch's, so that every stretch between them can be run alone."""
