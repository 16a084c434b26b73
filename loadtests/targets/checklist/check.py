"""One line of the set-up checklist."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TypeVar

import psycopg
from botocore import exceptions as boto_errors

from loadtests.errors import ResponseInvalid, TargetError
from loadtests.model import CartItem, Session


@dataclass(frozen=True, slots=True)
class Check:
    """A check's name, whether it passed, and its result in words."""

    name: str
    ok: bool
    result: str


Finding = tuple[bool, str]  # whether the check passed, and the result in words
Record = TypeVar("Record", CartItem, Session)


def check(name: str, run: Callable[[], Finding]) -> Check:
    """Run one check. An error of the database fails it; TargetError if the connection is lost."""
    try:
        return Check(name, *run())
    except boto_errors.ClientError as error:
        detail = error.response.get("Error", {})
        return Check(name, False, f"{detail.get('Code', '?')}: {detail.get('Message', '')}"[:200])
    except ResponseInvalid as error:
        return Check(name, False, str(error))
    except (boto_errors.BotoCoreError, psycopg.OperationalError) as error:
        raise TargetError(
            f"The connection was lost during the check {name!r} ({type(error).__name__}).",
            hint="Check that the database is running, then verify again.",
        ) from None
    except psycopg.Error as error:
        return Check(name, False, (str(error).splitlines() or ["?"])[0][:200])


def compare(actual: Record | None, expected: Record) -> Finding:
    """Compare two records field by field; `actual` None means that it does not exist."""
    if actual is None:
        return False, "it does not exist"
    names = [field.name for field in fields(expected)]
    different = [name for name in names if getattr(actual, name) != getattr(expected, name)]
    if different:
        return False, f"differs in {', '.join(different)}"
    return True, f"all {len(names)} fields as written"
