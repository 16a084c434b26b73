"""psycopg lets other greenlets run while it waits, in a process that gevent has patched."""

from __future__ import annotations

import pytest

from loadtests.targets.endpoints import Endpoints, PostgresEndpoint
from tests.stores.patched import run
from tests.stores.shop import Shop

pytestmark = pytest.mark.embedded


PSYCOPG = """
from gevent import monkey; monkey.patch_all()
import sys
from datetime import UTC, datetime
from decimal import Decimal
import gevent
import psycopg
from loadtests.errors import CallTimeout
from loadtests.model import Book
from loadtests.stores.postgres.psycopg import PsycopgCartStore
from loadtests.stores.postgres.sql import Query
from loadtests.targets.endpoints import PostgresEndpoint

dsn, user_id, book_id = sys.argv[1:]
book, now = Book(book_id, "t", Decimal(1), "i"), datetime.now(UTC)
store = PsycopgCartStore(PostgresEndpoint(dsn), timeout_s=30)
store.add(user_id, book, 1, now)
assert store.wire_ns > 0

# A greenlet waits for a lock that another greenlet holds and will give back: only if the waiting
# one lets the other run does either get on.
holder = psycopg.connect(dsn)
holder.execute("update carts set quantity = 7 where user_id = %s", (user_id,))
waiting = gevent.spawn(store.add, user_id, book, 1, now)
while not holder.execute("select 1 from pg_locks where not granted").fetchall():
    gevent.sleep(0.01)
assert not waiting.ready()
holder.commit()
assert waiting.get(timeout=30) == 8
assert store.wire_ns > 0

# A lock that is not given back ends in a timeout, and the store works on.
short = PsycopgCartStore(PostgresEndpoint(dsn), timeout_s=0.3)
holder.execute("update carts set quantity = 9 where user_id = %s", (user_id,))
try:
    short.add(user_id, book, 1, now)
except CallTimeout:
    holder.commit()
assert short.add(user_id, book, 1, now) in {10, 11}

# Each call has the whole timeout, however long the calls before it waited.
patient = PsycopgCartStore(PostgresEndpoint(dsn), timeout_s=1.5)
for _ in range(5):
    patient._run(Query("select true from pg_sleep(0.5)", ()))
patient.close()

# A greenlet that is killed in a call leaves a store that works on.
holder.execute("update carts set quantity = 11 where user_id = %s", (user_id,))
killed = gevent.spawn(store.add, user_id, book, 1, now)
while not holder.execute("select 1 from pg_locks where not granted").fetchall():
    gevent.sleep(0.01)
killed.kill()
holder.commit()
holder.close()
assert store.get_item(user_id, book_id).quantity in {11, 12}
store.close()
short.close()

# More bytes than the socket takes at once.
long = PsycopgCartStore(PostgresEndpoint(dsn))
assert long.get("x" * 20_000_000) == []
long.close()
long.close()
print("done")
"""


def test_psycopg(endpoints: Endpoints, postgres: PostgresEndpoint) -> None:
    shop = Shop(endpoints)
    try:
        user_id, book = shop.user(), shop.books(["gevent-book"])[0]
        run(PSYCOPG, postgres.dsn, user_id, book.book_id)
    finally:
        shop.clear()
