"""One step of training beside its peers: `python -m benchmarks train`. Every side has a process of its own."""
