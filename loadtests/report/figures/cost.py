"""What DynamoDB would charge for the calls measured, from their consumed capacity.

Prices: on-demand mode, Standard table class, us-east-1, since 1 November 2024
(https://aws.amazon.com/dynamodb/pricing/on-demand/). Reads and writes only: storage, backups,
streams, transfer and the free tier are not in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from loadtests.report.figures.rounding import Number, digits, dollars, per_second
from loadtests.report.figures.series import ReportSeries

DOLLARS_PER_MILLION_READ_UNITS: Final = 0.125
DOLLARS_PER_MILLION_WRITE_UNITS: Final = 0.625
PRICES_SAID: Final = (
    "Prices: DynamoDB on-demand, Standard class, us-east-1, since 1 November 2024: "
    f"${DOLLARS_PER_MILLION_READ_UNITS} per million read request units, "
    f"${DOLLARS_PER_MILLION_WRITE_UNITS} per million write request units "
    "(aws.amazon.com/dynamodb/pricing/on-demand). Storage, backups, streams and transfer are not "
    "included."
)
_MONTH_S: Final = 730 * 3600


@dataclass(frozen=True, slots=True)
class Cost:
    """One access pattern's capacity and money; unknown where the run did not ask for it."""

    pattern: str
    read_units: Number
    write_units: Number
    per_million: Number
    rate: Number
    per_month: Number


def costs_of(series: Sequence[ReportSeries], duration_s: float) -> list[Cost]:
    """The series whose capacity is known."""
    costs = [_cost(each, duration_s) for each in series]
    return [cost for cost in costs if cost is not None]


def total_of(costs: Sequence[Cost]) -> Cost | None:
    """All of them together: rates and months add, a million calls is the mix's mean."""
    rates = [c.rate.value for c in costs if c.rate.value is not None]
    months = [c.per_month.value for c in costs if c.per_month.value is not None]
    if len(costs) < 2 or len(rates) < len(costs) or len(months) < len(costs) or not sum(rates):
        return None
    rate, month = sum(rates), sum(months)

    def mean(values: Sequence[float | None]) -> Number:
        value = sum((v or 0.0) * r for v, r in zip(values, rates, strict=True)) / rate
        return Number(value, digits(value))

    return Cost(
        pattern="This mix",
        read_units=mean([c.read_units.value for c in costs]),
        write_units=mean([c.write_units.value for c in costs]),
        per_million=dollars(mean([c.per_million.value for c in costs]).value),
        rate=per_second(rate),
        per_month=dollars(month),
    )


def _cost(series: ReportSeries, duration_s: float) -> Cost | None:
    capacity = series.capacity
    if capacity is None or (capacity.rcu_per_op is None and capacity.wcu_per_op is None):
        return None
    reads, writes = capacity.rcu_per_op or 0.0, capacity.wcu_per_op or 0.0
    million = reads * DOLLARS_PER_MILLION_READ_UNITS + writes * DOLLARS_PER_MILLION_WRITE_UNITS
    rate = series.calls / duration_s if duration_s > 0 else None
    return Cost(
        pattern=series.pattern,
        read_units=Number(reads, digits(reads)),
        write_units=Number(writes, digits(writes)),
        per_million=dollars(million),
        rate=per_second(rate) if rate is not None else Number(None, "–"),
        per_month=dollars(million * rate * _MONTH_S / 1e6 if rate is not None else None),
    )
