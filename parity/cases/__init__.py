"""Inputs and parameters that expose mistakes, and whether they do; numpy only, no model."""
