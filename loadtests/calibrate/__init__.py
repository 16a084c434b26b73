"""Is what the harness reports true? Servers whose latencies are known, and the comparison.

::

    server/           a DynamoDB of known latency, in a process of its own
        scripts.py       when it answers: pure, seeded
        memory.py        what it answers: CloudShelf's tables, in memory
        tables.py        tables created, described and filled, so that set-up code runs too
        answers.py       the two combined, refusals included
        framing.py       requests from, responses into a byte stream
        records.py       the log of calls that the server writes
        process.py       the server: one epoll loop
        start.py         starts, pins and ends that process

    ground_truth.py   what the server recorded, and what arriving users should have seen
    machine_stalls.py whether the machine itself stalled meanwhile
    stall_injector.py stalls on purpose, of a known share, to test what sees them
    round_trip.py     the baseline round trip: the least that a call takes on this machine
    conventional.py   the load test that most teams write, for comparison
    cells.py          runs one cell: the real scenario on one script at one rate
    figures.py        reported against true, with tolerances
    noise.py          one cell under injected stalls: truth, all calls, undisturbed calls
    tables.py         all cells as a table
    chart.py          all cells as a chart
"""
