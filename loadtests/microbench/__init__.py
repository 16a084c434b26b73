"""What one call costs in the app: every access pattern × every driver, one call at a time.

::

    bench/*.py ──► suites ──► timing ──► session ──► rows, folder ──► tables
    (pytest)       (what)     (calls,    (a pass     (figures and     (terminal)
                              batches)   per suite)  the run folder)

    suites/            what is measured: specs, plans, cases, calls on each driver's stores
    timing/            how one call at a time is timed, in batches that alternate
    machine/           whether the machine was fast and quiet enough
    session.py         databases, passes, run folder; then verdict and reports
    rows.py            a benchmark's figures
    folder.py          the run folder, written as the session goes
    tables.py          what the terminal shows
    replay.py          the measured times as pytest-benchmark reads them
    progress_pipe.py   progress for the process that started the benchmarks

`pytest --benchmark` (`loadtests/pytest_plugin.py`) drives it, started by hand or by the gate.
Locust and gevent stay out of this process: they patch the sockets that are to be measured.
"""
