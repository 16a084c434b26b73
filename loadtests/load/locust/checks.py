"""What is refused before a run begins: mixes that cannot last, stores that cannot be opened.

And rates that change while two subjects take turns, for neither would meet the same ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtests.config import Config
from loadtests.errors import UsageError
from loadtests.load.subjects import alternation_of, run_subjects
from loadtests.stores.factories import confirm_factory, is_factory, open_factory_stores
from loadtests.targets.endpoints import Endpoints

if TYPE_CHECKING:
    from loadtests.load.locust.users import OpenLoopUser


def check_mix(cls: type[OpenLoopUser]) -> None:
    """Refuse a mix that would empty the carts. Raises UsageError."""
    if not cls.declared:
        raise UsageError(
            f"{cls.__name__} declares no access pattern.",
            hint="Mark its methods with @access_pattern(…, share=…).",
        )
    shares = {declared.pattern: declared.share for declared in cls.declared}
    if shares.get("cart.remove", 0) > shares.get("cart.add", 0):
        raise UsageError(
            f"{cls.__name__} removes more cart lines than it adds, so its carts would run empty.",
            hint="Give cart.add at least the share of cart.remove.",
        )


def check_profiles(config: Config, classes: list[type[OpenLoopUser]]) -> None:
    """Refuse a rate that changes during a run in turns: turns are in step with none.

    Raises UsageError.
    """
    if alternation_of(config) is None:
        return
    for cls in classes:
        if any(len(cls.profile(config, one.backend)) > 1 for one in run_subjects(config)):
            raise UsageError(
                f"{cls.__name__} changes its rate during the run, and subjects in turns need one.",
                hint="Use --blocks 0 (side by side), or a scenario of a constant rate.",
            )


def check_stores(config: Config, endpoints: Endpoints, classes: list[type[OpenLoopUser]]) -> None:
    """Open each factory's stores once, to learn before the run what is wrong with it.

    Raises UsageError: also for a store that the scenario needs and the factory does not give.
    """
    patterns = {declared.pattern for cls in classes for declared in cls.declared}
    for subject in run_subjects(config):
        if not is_factory(subject.client):
            continue
        confirm_factory(subject.client, subject.backend)
        for kind, store in zip(("cart", "session"), open_factory_stores(subject.client, endpoints),
                               strict=True):  # fmt: skip
            wanted = sorted(one for one in patterns if one.startswith(f"{kind}."))
            if store is not None:
                store.close()
            elif wanted:
                raise UsageError(
                    f"{subject.client} gives no {kind} store, and the scenario calls {wanted[0]}.",
                    hint=f"Return one, or choose another --scenario than that of the {kind}s.",
                )
