"""The catalogue of porting mistakes, executable: planted, one tests the harness; tried, it explains a difference."""
