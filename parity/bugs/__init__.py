"""The catalogue of porting mistakes, executable: planted, one tests the harness; tried on a difference, it explains it."""
