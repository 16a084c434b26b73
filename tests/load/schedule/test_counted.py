from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loadtests.load.schedule.counted import CountedSchedule

STARTS = st.lists(st.integers(0, 100), max_size=30).map(sorted)


@given(STARTS, st.lists(st.integers(1, 5), max_size=20), st.lists(st.integers(0, 110)), st.data())
def test_each_arrival_is_counted_once_and_given_out_once_in_any_order(
    starts: list[int], sizes: list[int], until: list[int], data: st.DataObject
) -> None:
    chunks, rest = [], starts
    for size in [*sizes, 0, len(starts)]:  # chunks may be empty
        chunks.append(np.array(rest[:size], np.int64))
        rest = rest[size:]
    schedule = CountedSchedule(iter(chunks))
    given_out: list[int] = []
    counted, reached = 0, -1
    for time_ns in until:
        if data.draw(st.booleans()):
            given_out += next(schedule, np.zeros(0, np.int64)).tolist()
        counted += schedule.take_count(time_ns)
        reached = max(reached, time_ns)
        assert counted == sum(start <= reached for start in starts)
    for chunk in schedule:
        given_out += chunk.tolist()
    assert given_out == starts
    assert counted + schedule.take_count(1_000) == len(starts)
