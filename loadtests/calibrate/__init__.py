"""Is what the harness reports true? Servers whose latencies are known, and the comparison.

::

    scripts.py         when a server answers: pure, seeded
    memory.py          what it answers: CloudShelf's tables, kept in memory
    control.py         tables made, described and filled, so that real set-up code runs too
    answers.py         the two behind one door, refusals included
    framing.py         requests out of, responses into a byte stream
    server_process.py  the server: one epoll loop in its own process
    records.py         what the server notes of each call
    servers.py         starts, pins and ends that process
    witness.py         whether the machine itself stood still meanwhile
    truth.py           what the server saw of itself, and what arriving users should have seen
"""
