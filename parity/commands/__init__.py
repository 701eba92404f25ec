"""The commands of `python -m parity`, one module each: a dataclass of options whose `run()` returns the exit status."""
