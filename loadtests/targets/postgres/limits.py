"""How many more connections a PostgreSQL allows this user, and which limit it is."""

from __future__ import annotations

from typing import Final, NamedTuple

import psycopg

from loadtests.targets.endpoints import PostgresEndpoint
from loadtests.targets.postgres.connect import postgres_connection
from loadtests.targets.postgres.refusals import connection_refusal

# A superuser may take the reserved connections, and has no limit of its own.
_FREE: Final = """
with activity as (
    select usesysid, datid from pg_stat_activity
    where usesysid is not null and datid is not null and pid <> pg_backend_pid()
), reserved as (
    select case when r.rolsuper then 0 else
        current_setting('superuser_reserved_connections')::int
        + coalesce(current_setting('reserved_connections', true)::int, 0) end as count
    from pg_roles r where r.rolname = current_user
)
select 'max_connections of the server', current_setting('max_connections')::int - count
       - (select count(*) from activity) from reserved
union all
select 'the connection limit of role ' || rolname, rolconnlimit
       - (select count(*) from activity where usesysid = r.oid)
from pg_roles r where rolname = current_user and rolconnlimit >= 0 and not rolsuper
union all
select 'the connection limit of database ' || datname, datconnlimit
       - (select count(*) from activity where datid = d.oid)
from pg_database d, pg_roles r
where datname = current_database() and datconnlimit >= 0 and rolname = current_user and not rolsuper
order by 2 limit 1
"""


class FreeConnections(NamedTuple):
    """The narrowest limit, in words, and how many connections it still allows."""

    limit: str
    left: int


def free_connections(endpoint: PostgresEndpoint) -> FreeConnections | None:
    """What is free now; None behind a pooler, which has limits of its own. Raises TargetError."""
    if endpoint.pooled:
        return None
    with postgres_connection(endpoint) as connection:
        try:
            row = connection.execute(_FREE).fetchone()
        except psycopg.Error as error:
            raise connection_refusal(error, endpoint.label, {}) from None
    return FreeConnections(str(row[0]), int(row[1])) if row else None
