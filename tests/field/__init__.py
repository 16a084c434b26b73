"""Situations from other people's machines: one module per kind of issue 13."""
