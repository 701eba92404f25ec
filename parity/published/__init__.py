"""Are the published families read right? Our encoder against transformers' own classes."""
