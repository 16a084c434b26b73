from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise
from typing import Literal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loadtests.load.schedule.alternation import PAUSE_NS, Alternation
from loadtests.load.schedule.arrivals import WorkerShare, arrivals, constant_rate

S = 1_000_000_000
TURNS = st.builds(Alternation, st.integers(1, 30), st.integers(0, 2**40))


def every_block(turns: Alternation, pairs: int) -> list[int]:
    """The slow way: block by block, who has it."""
    return [
        next(s for s in (0, 1) if turns.block(s, block // 2) == block) for block in range(2 * pairs)
    ]


@given(TURNS)
def test_each_pair_has_both_and_each_four_blocks_are_turned_round(turns: Alternation) -> None:
    order = every_block(turns, 40)
    for pair in range(40):
        assert sorted(order[2 * pair : 2 * pair + 2]) == [0, 1]
    for group in range(20):
        four = order[4 * group : 4 * group + 4]
        assert four == four[::-1], "ABBA or BAAB: an even drift touches both alike"


def test_who_goes_first_is_drawn_by_the_seed_and_evenly() -> None:
    firsts = [Alternation(1, 5).first(2 * group) for group in range(400)]
    assert firsts == [Alternation(9, 5).first(2 * group) for group in range(400)]
    assert firsts != [Alternation(1, 6).first(2 * group) for group in range(400)]
    assert 150 < sum(firsts) < 250


@given(TURNS, st.integers(0, 1), st.lists(st.integers(0, 200 * S), max_size=60), st.integers(1, 9))
def test_own_time_is_moved_block_by_block(
    turns: Alternation, subject: int, own: list[int], chunk: int
) -> None:
    """Against the slow way: walk through the blocks and spend own time in one's own."""
    own.sort()
    pieces = [np.array(own[i : i + chunk], np.int64) for i in range(0, len(own), chunk)]
    moved = [int(t) for piece in turns.offered(iter(pieces), subject) for t in piece]
    block_ns, expected = turns.block_s * S, []
    for at in own:
        left, block = at, 0
        while True:
            mine = turns.block(subject, block // 2) == block
            if mine and left < block_ns - PAUSE_NS:
                break
            left -= (block_ns - PAUSE_NS) * mine
            block += 1
        expected.append(block * block_ns + PAUSE_NS + left)
    assert moved == expected


@given(TURNS, st.sampled_from(["poisson", "constant"]), st.floats(1, 400))
def test_nobody_is_called_out_of_turn_and_the_other_has_the_pause_to_end_in(
    turns: Alternation, kind: Literal["poisson", "constant"], rate: float
) -> None:
    order = every_block(turns, 60)
    for subject in (0, 1):
        chunks = turns.offered(arrivals(constant_rate(rate), kind, 3), subject)
        starts = np.concatenate(list(islice(chunks, 3)))
        starts = starts[starts < 120 * turns.block_s * S]
        assert all(a <= b for a, b in pairwise(starts.tolist()))
        blocks, within = np.divmod(starts, turns.block_s * S)
        assert all(order[block] == subject for block in blocks.tolist())
        assert (within >= PAUSE_NS).all()


@given(TURNS, st.integers(1, 100))
def test_the_rate_within_a_block_is_the_one_asked_for(turns: Alternation, rate: int) -> None:
    chunks = turns.offered(arrivals(constant_rate(float(rate)), "constant", 1), 0)
    starts = np.concatenate(list(islice(chunks, 4)))
    calls_by_block = Counter((starts // (turns.block_s * S)).tolist())
    calls_by_block.pop(max(calls_by_block))  # the last may be cut short by the chunk
    open_s = turns.block_s - PAUSE_NS / S
    for block, calls in calls_by_block.items():
        assert abs(calls - rate * open_s) < 1 + 1e-6, block


@given(TURNS, st.integers(2, 5))
def test_workers_of_a_cluster_share_the_blocks_arrivals_between_them(
    turns: Alternation, count: int
) -> None:
    def drawn(share: WorkerShare) -> set[int]:
        chunks = turns.offered(arrivals(constant_rate(50.0, 20.0), "poisson", 3, share), 1)
        return {int(t) for chunk in chunks for t in chunk}

    parts = [drawn(WorkerShare(i, count)) for i in range(count)]
    assert set().union(*parts) == drawn(WorkerShare())
    assert sum(map(len, parts)) == len(drawn(WorkerShare()))


@given(TURNS, st.floats(0, 200), st.floats(0, 2_000))
def test_the_list_holds_the_whole_pairs_between_two_times_and_no_other(
    turns: Alternation, from_s: float, length_s: float
) -> None:
    listed = turns.listed(["x", "y"], from_s, from_s + length_s)
    span = 2 * turns.block_s
    pairs = [
        p for p in range(1200)
        if p * span >= from_s and (p + 1) * span <= from_s + length_s
    ]  # fmt: skip
    assert [
        {"subject": "xy"[s], "start_s": b * turns.block_s, "end_s": (b + 1) * turns.block_s}
        for p in pairs
        for b, s in sorted((turns.block(s, p), s) for s in (0, 1))
    ] == listed[: 2 * len(pairs)]
    assert len(listed) == 2 * len(pairs) or pairs[-1:] == [1199]
