"""Fused attention: one file per implementation, one signature (`sight`), one table that chooses (`table`)."""
