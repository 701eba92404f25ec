"""What devices that share a training step have to tell one another: by formula, and as the compiled program has it."""
