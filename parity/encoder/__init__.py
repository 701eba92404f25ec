"""Our two encoders side by side: variants, weights, inputs, and how both are run, cut and diagnosed."""
