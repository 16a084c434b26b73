"""Latency gate and load tests for CloudShelf.

Six rooms, in the order data flows::

    targets ──► stores ──► load ──► measure ──► judge ──► report
    (where)     (how one    (how     (what was   (what it   (how it is
                 call goes)  often)   seen)       means)     shown)

`targets`, `stores`, `measure` and `load` write a run folder; `judge` and `report` only read one:
`measure/results.py` is that seam. Every room shares `model`, `patterns`, `config` and `errors`.
"""

__version__ = "0.2.0"
