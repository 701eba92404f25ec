"""Does ours lose digits where the reference does not? Both in the deployed dtypes, beside float64."""
