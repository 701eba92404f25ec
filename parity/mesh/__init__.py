"""Do many devices take the step that one takes? Every way to share it among eight, beside a plain PyTorch loop."""
