"""Pretraining: options, objective, optimizer, step, checkpoints, loop, and what a run leaves behind."""
