"""One line of the set-up checklist."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import psycopg
from botocore import exceptions as boto_errors

from loadtests.errors import ResponseInvalid, TargetError


@dataclass(frozen=True, slots=True)
class Check:
    """What was asked, whether it holds, and what was found."""

    name: str
    ok: bool
    found: str


Finding = tuple[bool, str]


def check(name: str, look: Callable[[], Finding]) -> Check:
    """Run one look. A refusal by the database is a ✗; a database that is gone is a TargetError."""
    try:
        return Check(name, *look())
    except boto_errors.ClientError as error:
        detail = error.response.get("Error", {})
        return Check(name, False, f"{detail.get('Code', '?')}: {detail.get('Message', '')}"[:200])
    except ResponseInvalid as error:
        return Check(name, False, str(error))
    except (boto_errors.BotoCoreError, psycopg.OperationalError) as error:
        raise TargetError(
            f"The database went away during the check {name!r} ({type(error).__name__}).",
            hint="See whether it still runs, then verify again.",
        ) from None
    except psycopg.Error as error:
        return Check(name, False, (str(error).splitlines() or ["?"])[0][:200])


def compare(found: Any, expected: Any) -> Finding:
    """Compare two records field by field; `found` None means it is not there."""
    if found is None:
        return False, "it is not there"
    names = [field.name for field in fields(expected)]
    wrong = [name for name in names if getattr(found, name) != getattr(expected, name)]
    if wrong:
        return False, f"differs in {', '.join(wrong)}"
    return True, f"all {len(names)} fields as written"
