"""The form of a DSN that asyncpg reads."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from loadtests.stores.postgres.asyncpg import to_uri


def test_a_uri_stays_as_it_is() -> None:
    dsn = "postgresql://u:p@h:1/d?sslmode=require"
    assert to_uri(dsn) == dsn


words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@given(user=words, password=words, dbname=words)
def test_a_keyword_dsn_as_a_uri_says_the_same(user: str, password: str, dbname: str) -> None:
    given_ = {"host": "127.0.0.1", "port": "5433", "user": user, "password": password}
    dsn = make_conninfo(**given_, dbname=dbname)
    assert conninfo_to_dict(to_uri(dsn)) == {**given_, "dbname": dbname}
