"""One GPU, in at most eight minutes: `python -m benchmarks gpu`. Every measurement has a process of its own."""
