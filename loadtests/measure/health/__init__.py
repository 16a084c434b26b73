"""The load generator's own health: signals and the rules of validity."""
