"""Longer measurements of the harness itself, each run by hand through a Makefile target.

::

    drivers/    CPU per call of each driver and of other generators   make bench-drivers
    validity/   starved runs are INVALID, healthy ones are not        make bench-validity
    slowdown/   an endpoint slower than its baseline is a FAIL        make bench-slowdown
"""
