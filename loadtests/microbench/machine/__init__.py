"""Checks on the machine that the micro-benchmarks run on."""
