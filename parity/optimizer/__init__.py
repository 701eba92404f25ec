"""Is an optimizer's step the same? optax against torch.optim, stage by stage."""
