"""`python -m jax_encoder`."""

import sys

from jax_encoder.cli import main

if __name__ == "__main__":
    sys.exit(main())
