"""Undisturbed percentiles under stalls against those of quiet blocks, for many windows. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from loadtests.measure.stalls.windows import (
    AFTER_NS,
    BEFORE_NS,
    MIN_USED_NS,
    DisturbedTime,
    Stall,
)

MS: Final = 1_000_000
QUANTILES: Final = (0.5, 0.9, 0.99)
BEFORE_MS: Final = (0, 2, 5, 10, 20, 40)
AFTER_MS: Final = (0, 2, 5, 10, 15, 20, 30)
MIN_USED_MS: Final = (0.5, 1, 2, 3)
RESAMPLES: Final = 500
_BIN: Final = 0.0025  # width of a bin on the logarithm of the time
_LOWEST_NS: Final = 20_000
_BINS: Final = int(math.log(1e7) / _BIN)

Times = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Block:
    """Time in which stalls took `share` of some CPUs. CLOCK_MONOTONIC nanoseconds."""

    share: float
    begin_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One run: its blocks, its stalls, and by backend two rows: intended starts and responses."""

    blocks: Sequence[Block]
    stalls: Sequence[Stall]
    calls: Mapping[str, Times]

    @classmethod
    def of(
        cls,
        blocks: Sequence[Block],
        stalls: Sequence[Sequence[int]],
        calls: Mapping[str, Times],
    ) -> Piece:
        """A piece from plain numbers; each stall as CPU, from, due and length."""
        return cls(blocks=blocks, stalls=[Stall(*stall) for stall in stalls], calls=calls)


@dataclass(frozen=True, slots=True)
class Window:
    """What leaves a call out, in milliseconds; `min_used_ms` of infinity leaves out nothing."""

    before_ms: float
    after_ms: float
    min_used_ms: float

    def disturbed(self, stalls: Sequence[Stall]) -> DisturbedTime:
        """The intended starts that it leaves out."""
        disturbed = DisturbedTime(
            before_ns=round(self.before_ms * MS),
            after_ns=round(self.after_ms * MS),
            min_used_ns=round(min(self.min_used_ms, 1e6) * MS),
        )
        for stall in stalls:
            disturbed.add(stall)
        return disturbed


RELEASE: Final = Window(BEFORE_NS / MS, AFTER_NS / MS, MIN_USED_NS / MS)
NOTHING: Final = Window(0, 0, math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """One percentile under stalls against the quiet blocks.

    `low` and `high` bound the relative deviation at 90%, over resampled blocks.
    """

    quiet_ms: float
    stalled_ms: float
    low: float
    high: float

    @property
    def relative(self) -> float:
        """How much higher it is under stalls."""
        return self.stalled_ms / self.quiet_ms - 1


@dataclass(frozen=True, slots=True)
class Comparison:
    """A window's share left out in the blocks with stalls, and the deviation by percentile."""

    left_out: float
    deviations: tuple[Deviation, ...]


def compare(
    pieces: Sequence[Piece], backend: str, window: Window, shares: Sequence[float], seed: int = 1
) -> Comparison:
    """The undisturbed calls of all blocks with these shares against those of the quiet blocks."""
    quiet, stalled = [], []
    kept = total = 0
    for piece in pieces:
        disturbed = window.disturbed(piece.stalls)
        starts_ns, response_ns = piece.calls[backend]
        undisturbed = ~disturbed.touches(starts_ns)
        for block in piece.blocks:
            inside = (starts_ns >= block.begin_ns) & (starts_ns < block.end_ns)
            counts = _binned(response_ns[inside & undisturbed])
            if block.share == 0:
                quiet.append(counts)
            elif block.share in shares:
                stalled.append(counts)
                kept += int((inside & undisturbed).sum())
                total += int(inside.sum())
    draw = np.random.default_rng(seed)
    blocks = [np.array(quiet), np.array(stalled)]
    totals = [_quantiles_ms(counts.sum(axis=0, keepdims=True)) for counts in blocks]
    resampled = [_quantiles_ms(_resample(counts, draw)) for counts in blocks]
    bounds = np.quantile(resampled[1] / resampled[0] - 1, [0.05, 0.95], axis=1)
    deviations = [
        Deviation(
            quiet_ms=float(totals[0][n, 0]),
            stalled_ms=float(totals[1][n, 0]),
            low=float(bounds[0, n]),
            high=float(bounds[1, n]),
        )
        for n in range(len(QUANTILES))
    ]
    return Comparison(1 - kept / max(1, total), tuple(deviations))


def _binned(times_ns: Times) -> npt.NDArray[np.int64]:
    place = np.log(np.maximum(times_ns, _LOWEST_NS) / _LOWEST_NS) / _BIN
    return np.bincount(np.minimum(place.astype(np.int64), _BINS - 1), minlength=_BINS)


def _quantiles_ms(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The quantiles of each row of counts: one row per quantile."""
    cumulative = np.cumsum(counts, axis=1)
    places = [(cumulative >= np.ceil(q * cumulative[:, -1:])).argmax(axis=1) for q in QUANTILES]
    return np.asarray(_LOWEST_NS * np.exp((np.array(places) + 0.5) * _BIN) / MS, np.float64)


def _resample(blocks: npt.NDArray[np.int64], draw: np.random.Generator) -> npt.NDArray[np.int64]:
    chosen = draw.multinomial(len(blocks), np.full(len(blocks), 1 / len(blocks)), RESAMPLES)
    return np.asarray(chosen @ blocks, np.int64)


# --- tables


def report(pieces: Sequence[Piece]) -> str:
    """All tables as Markdown."""
    shares = sorted({block.share for piece in pieces for block in piece.blocks} - {0.0})
    backends = sorted({backend for piece in pieces for backend in piece.calls})
    calls = sum(starts.shape[1] for piece in pieces for starts in piece.calls.values())
    lines = [f"{len(pieces)} pieces, {calls:,} calls."]
    for backend in backends:
        lines += ["", f"### {backend}: shares, at the windows of the release", "", *_HEAD]
        for share in shares:
            for name, window in (("all calls", NOTHING), ("undisturbed", RELEASE)):
                lines.append(
                    _row(f"{share:.0%}, {name}", compare(pieces, backend, window, [share]))
                )
        moderate = [share for share in shares if share <= 0.15]
        for title, windows in _series():
            lines += ["", f"### {backend}: {title}, all shares up to 15%", "", *_HEAD]
            lines += [
                _row(name, compare(pieces, backend, window, moderate)) for name, window in windows
            ]
    return "\n".join(lines)


_HEAD: Final = ("| | left out | p50 | p90 | p99 |", "|---|---:|---:|---:|---:|")


def _series() -> Iterator[tuple[str, list[tuple[str, Window]]]]:
    before, after, least = RELEASE.before_ms, RELEASE.after_ms, RELEASE.min_used_ms
    yield "G", [(f"{g} ms before", Window(g, after, least)) for g in BEFORE_MS]
    yield "H", [(f"{h} ms after", Window(before, h, least)) for h in AFTER_MS]
    yield "shortest stall used", [(f"{m:g} ms", Window(before, after, m)) for m in MIN_USED_MS]
    both = [(g, h) for g in BEFORE_MS for h in AFTER_MS]
    yield "G and H", [(f"{g} before, {h} after", Window(g, h, least)) for g, h in both]


def _row(name: str, comparison: Comparison) -> str:
    cells = [
        f"{d.stalled_ms:.2f} of {d.quiet_ms:.2f} ({d.relative:+.1%}; {d.low:+.1%} to {d.high:+.1%})"
        for d in comparison.deviations
    ]
    return f"| {name} | {comparison.left_out:.0%} | {' | '.join(cells)} |"
