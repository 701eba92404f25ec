"""Trains an encoder: `python train.py pretrain --help`, `python train.py resume --help`,
`python train.py export --help`, `python train.py replay --help`."""

import sys

from jax_encoder.commands.train import main

if __name__ == "__main__":
    sys.exit(main())
