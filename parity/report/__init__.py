"""A report as text, JSON and HTML, and what all commands share that print one."""
