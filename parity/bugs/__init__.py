"""The catalogue of porting mistakes, executable: planted, a mistake tests the harness; tried, it explains a difference."""
