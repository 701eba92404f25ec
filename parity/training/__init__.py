"""Are whole training runs the same? The trainer's own step beside a plain PyTorch loop."""
