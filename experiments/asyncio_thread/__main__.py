"""`python -m experiments.asyncio_thread`, in a process that gevent has patched, as Locust's is."""

from __future__ import annotations

from gevent import monkey

if __name__ == "__main__":
    monkey.patch_all()

    from experiments.asyncio_thread.measure import main

    main()
