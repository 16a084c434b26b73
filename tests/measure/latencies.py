"""Latencies to test with, in nanoseconds: everyday ones, and every edge of the layout."""

from __future__ import annotations

from hypothesis import strategies as st

from loadtests.measure.histogram import HIGHEST_NS

EDGES = sorted(
    {0, 1, 2, 1_023, 1_024, 2_047, 2_048, 2_049, HIGHEST_NS - 1, HIGHEST_NS}
    | {edge for bit in range(11, 42) for edge in ((1 << bit) - 1, 1 << bit, (1 << bit) + 1)}
)
TOO_LONG = [HIGHEST_NS + 1, 2 * HIGHEST_NS, 1 << 62]


def latencies(*, too_long: bool = False) -> st.SearchStrategy[int]:
    """One latency; `too_long` adds some beyond the hour that the layout covers."""
    kinds = [
        st.integers(0, HIGHEST_NS),
        st.integers(100_000, 50_000_000),
        st.sampled_from(EDGES),
    ]
    return st.one_of(*kinds, st.sampled_from(TOO_LONG)) if too_long else st.one_of(*kinds)


def equivalent_range(value: int) -> tuple[int, int]:
    """The slow, obvious oracle: least and greatest value that keep the same 11 leading bits."""
    value = min(value, HIGHEST_NS)
    shift = max(0, value.bit_length() - 11)
    low = value >> shift << shift
    return low, low + (1 << shift) - 1
