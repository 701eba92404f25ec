"""Is it the same function? Every value of every variant, forward and backward, and the rounding of deployed dtypes."""
