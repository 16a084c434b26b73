from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loadtests.measure.stalls.windows import DisturbedTime, Stall

MS = 1_000_000
stalls = st.builds(
    lambda cpu, from_ms, slept_ms, length_ms: Stall(
        cpu, from_ms * MS, (from_ms + slept_ms) * MS, length_ms * MS
    ),
    cpu=st.integers(0, 3),
    from_ms=st.integers(0, 400),
    slept_ms=st.integers(0, 2),
    length_ms=st.integers(1, 40),
)


def touched(intended_ms: int, stall: Stall, *, before_ms: int, after_ms: int) -> bool:
    """The definition, word by word: the stall touches [intended - before, intended + after]."""
    begin, end = intended_ms * MS - before_ms * MS, intended_ms * MS + after_ms * MS
    return stall.from_ns <= end and stall.end_ns >= begin


@given(st.lists(stalls, max_size=12), st.integers(0, 20), st.integers(0, 20))
def test_an_intended_start_is_disturbed_exactly_when_a_stall_touches_its_window(
    listed: list[Stall], before_ms: int, after_ms: int
) -> None:
    disturbed = DisturbedTime(before_ns=before_ms * MS, after_ns=after_ms * MS, min_used_ns=2 * MS)
    used = [stall for stall in listed if disturbed.add(stall)]
    assert used == [stall for stall in listed if stall.length_ns >= 2 * MS]
    intended = np.arange(0, 500, dtype=np.int64)
    expected = [
        any(touched(ms, stall, before_ms=before_ms, after_ms=after_ms) for stall in used)
        for ms in intended.tolist()
    ]
    assert disturbed.touches(intended * MS).tolist() == expected


@given(st.lists(stalls, max_size=12), st.integers(0, 450), st.integers(0, 100))
def test_dead_time_is_what_the_windows_cover(
    listed: list[Stall], since_ms: int, length_ms: int
) -> None:
    disturbed = DisturbedTime(min_used_ns=0)
    for stall in listed:
        disturbed.add(stall)
    # every bound is a whole millisecond, so the middle of each one tells for all of it
    middles = np.arange(since_ms, since_ms + length_ms, dtype=np.int64) * MS + MS // 2
    expected = int(disturbed.touches(middles).sum()) * MS
    assert disturbed.length_ns(since_ms * MS, (since_ms + length_ms) * MS) == expected


@given(st.lists(stalls, max_size=12), st.integers(0, 500))
def test_what_is_forgotten_changes_no_later_answer(listed: list[Stall], from_ms: int) -> None:
    whole, pruned = DisturbedTime(), DisturbedTime()
    for stall in listed:
        whole.add(stall)
        pruned.add(stall)
    pruned.forget_before(from_ms * MS)
    later = np.arange(from_ms, 520, dtype=np.int64) * MS
    assert whole.touches(later).tolist() == pruned.touches(later).tolist()


def test_the_length_of_a_call_plays_no_part() -> None:
    disturbed = DisturbedTime(before_ns=5 * MS, after_ns=10 * MS)
    disturbed.add(Stall(0, 100 * MS, 101 * MS, 4 * MS))
    # due long before the stall: undisturbed, also if the call still goes on when it comes
    assert disturbed.touches(np.array([89 * MS, 90 * MS, 110 * MS, 111 * MS])).tolist() == [
        False, True, True, False,
    ]  # fmt: skip
