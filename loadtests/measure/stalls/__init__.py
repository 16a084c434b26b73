"""Stalls: time in which the machine did not run our processes, measured and used for exclusion."""
