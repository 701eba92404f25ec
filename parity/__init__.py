"""Tells whether two programs compute the same function, value by value. Only `parity.encoder` knows which two."""
