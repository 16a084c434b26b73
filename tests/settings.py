"""A value of every setting for each source, and the file that holds one."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from loadtests.config import SETTINGS

# toml, environment, flag
CHANGED: Final[dict[str, tuple[object, object, object]]] = {
    "backend": ("postgres", "dynamodb", "both"),
    "driver": ("boto3", "wire", "boto3"),
    "rate": (7.0, 8.0, 9.0),
    "arrivals": ("constant", "poisson", "constant"),
    "warm_up": (3.0, 4.0, 5.0),
    "seed": (3, 4, 5),
    "zipf_exponent": (0.5, 1.2, 0.0),
    "max_extension": (30.0, 40.0, 50.0),
    "allowed_hosts": ("a.example", "b.example", "c.example"),
    "subjects": (
        "dynamodb/wire dynamodb/boto3",
        "dynamodb/boto3 dynamodb/wire",
        "postgres/psycopg dynamodb/wire",
    ),
    "blocks": (2, 3, 0),
    "dynamodb_endpoint": ("http://127.0.0.1:1", "http://127.0.0.1:2", "aws"),
    "postgres_dsn": ("postgresql://a", "postgresql://b", "postgresql://c"),
    "postgres_storage": ("disk", "memory", "auto"),
    "region": ("eu-west-1", "eu-west-2", "eu-west-3"),
    "results": ("one", "two", "three"),
    "run_time": (20.0, 30.0, 40.0),
    "allow_remote": (True, False, True),
    "micro": ("quick", "full", "off"),
    "from": (50.0, 60.0, 70.0),
    "to": (500.0, 600.0, 700.0),
    "growth": (1.5, 1.6, 1.7),
    "step_time": (15, 16, 17),
    "settle": (3, 4, 5),
}


def write_toml(folder: Path, name: str, value: object) -> None:
    """Write a loadtests.toml with this one setting."""
    *section, key = SETTINGS[name].path
    shown = str(value).lower() if isinstance(value, float | int) else f'"{value}"'
    head = f"[{section[0]}]\n" if section else ""
    (folder / "loadtests.toml").write_text(f"{head}{key} = {shown}\n")
