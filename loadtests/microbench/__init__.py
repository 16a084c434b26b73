"""What one call costs in the app: every access pattern × every driver, one call at a time.

::

    bench/*.py ──► cases ──► iterations ──► folder ──► rows, conclude
    (what)         (Spec)    (timed,    (as any    (p50, p99, CPU,
                             in turns)  run)       verdict, charts)

`pytest --benchmark` (`loadtests/pytest_plugin.py`) drives it, started by hand or by the gate.
Locust and gevent stay out of this process: they patch the sockets that are to be measured.
"""
