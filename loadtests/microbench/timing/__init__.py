"""How one call at a time is timed."""
