"""What a scenario creates before a run and removes after it: `prepare` and `clean_up`.

Both run in the process that owns the run, a single Locust or a cluster's master.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from loadtests.load.locust.faults import as_usage_error
from loadtests.load.locust.users import OpenLoopUser
from loadtests.targets.endpoints import Endpoints


class ScenarioHooks:
    """The hooks of a scenario's user classes; `on_step` gets the name of each step."""

    def __init__(
        self, classes: Sequence[type[OpenLoopUser]], on_step: Callable[[str], None]
    ) -> None:
        self._classes = classes
        self._on_step = on_step
        self._begun: list[type[OpenLoopUser]] = []
        self._endpoints: Endpoints | None = None

    @property
    def is_prepared(self) -> bool:
        """Whether `prepare` has run for every class since the last clean-up."""
        return len(self._begun) == len(self._classes)

    def prepare(self, endpoints: Endpoints) -> None:
        """Let every class prepare. Raises LoadtestsError, after cleaning up what had begun."""
        self._begun, self._endpoints = [], endpoints
        try:
            for cls in self._classes:
                self._on_step(f"{cls.__name__}.prepare")
                self._begun.append(cls)
                try:
                    cls.prepare(endpoints)
                except Exception as error:
                    raise as_usage_error(error, f"{cls.__name__}.prepare") from error
        except BaseException:
            with suppress(Exception):  # the first error is the one to show
                self.clean_up()
            raise

    def clean_up(self) -> None:
        """Let every class that has begun to prepare clean up, unless all databases are embedded.

        Raises LoadtestsError for the first that fails, after all have been called.
        """
        begun, self._begun = self._begun, []
        if self._endpoints is None or _all_embedded(self._endpoints):
            return
        errors: list[Exception] = []
        for cls in begun:
            try:
                cls.clean_up(self._endpoints)
            except Exception as error:  # noqa: BLE001 (the others clean up, too)
                errors.append(as_usage_error(error, f"{cls.__name__}.clean_up"))
        if errors:
            raise errors[0]


def _all_embedded(endpoints: Endpoints) -> bool:
    present = [each for each in (endpoints.dynamodb, endpoints.postgres) if each is not None]
    return all(each.embedded for each in present)
