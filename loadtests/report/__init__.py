"""How it is shown: every number chosen and rounded once, then drawn."""
