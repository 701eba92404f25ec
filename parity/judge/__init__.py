"""Compares, locates, describes and comes to a verdict; numpy only, so that it cannot share a framework's mistakes."""
