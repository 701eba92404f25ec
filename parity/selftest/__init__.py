"""Is the harness itself right? Every mistake of the catalogue made on purpose, and encoders without one."""
