"""Subjects with a name of their own: `NAME=[TREE:]client`.

The name takes the place of the driver's in all results. TREE is a folder whose modules come first,
so that two versions of one package can be compared; it may contain `:`. The client is a driver, a
backend, or a store factory, as without a name. `old:boto3` is the factory `boto3` of the module
`old`: a folder before a driver needs a slash (`./old:boto3`).

Each subject of a run with named subjects is called by a process of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from loadtests.errors import UsageError
from loadtests.patterns import BACKENDS

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_BACKEND: Final = rf"(?:(?:{'|'.join(BACKENDS)})/)?"
_DOTTED: Final = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_FACTORY: Final = re.compile(rf"(?:(?P<tree>.*):)?(?P<client>{_BACKEND}{_DOTTED}:{_DOTTED})", re.S)
_DRIVER: Final = re.compile(rf"(?:(?P<tree>.*):)?(?P<client>{_BACKEND}[a-z0-9]+)", re.S)
_FORM: Final = (
    "Write NAME=[FOLDER:]client, such as base=../base:shop.carts:make or old=boto3; the name has "
    "letters, digits, dots, underscores and hyphens."
)


@dataclass(frozen=True, slots=True)
class NamedSubject:
    """The parts of `NAME=[TREE:]client`; `tree` is empty where none is named."""

    name: str
    tree: str
    client: str

    @property
    def text(self) -> str:
        """As it is written; without a name, the client alone."""
        folder = f"{self.tree}:" if self.tree else ""
        return f"{self.name}={folder}{self.client}" if self.name else self.client


def is_named(text: str) -> bool:
    """Whether a subject has a name of its own."""
    return "=" in text


def parse_named(text: str) -> NamedSubject:
    """Read `NAME=[TREE:]client`, from the right. Raises UsageError."""
    name, _, rest = text.partition("=")
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} in {text} is not the name of a subject.", hint=_FORM)
    match = _FACTORY.fullmatch(rest) or _DRIVER.fullmatch(rest)
    if match is None or match["tree"] == "":
        raise UsageError(f"{text} names no client.", hint=_FORM)
    return NamedSubject(name, match["tree"] or "", match["client"])
