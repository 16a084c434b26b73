"""Seconds of a run, and the wait for a CPU that the kernel counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.microbench.timing import clocks
from loadtests.microbench.timing.clocks import Clocks, Seconds, open_clocks
from tests.microbench.fakes import MS, Time


def test_a_second_ends_when_it_is_asked_to() -> None:
    time = Time()
    seconds = Seconds(time.clocks, time.now_ns)
    time.spend(999 * MS)
    assert not seconds.over()
    time.spend(501 * MS)
    assert seconds.over()
    assert seconds.next() == (0.0, 1.5)
    assert seconds.index == 2  # its start, 1.5 s, rounded
    assert not seconds.over()


def test_the_wait_is_the_second_number(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    schedstat = tmp_path / "schedstat"
    schedstat.write_text("17 4711 3\n")
    monkeypatch.setattr(clocks, "SCHEDSTAT", schedstat)
    opened = open_clocks()
    assert opened.tells_cpu_wait
    assert opened.cpu_wait() == 4_711


@pytest.mark.parametrize("text", [None, "", "0 0 0\n", "17\n", "17 x 3\n"])
def test_where_the_kernel_does_not_count_it_the_wait_is_unknown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None
) -> None:
    schedstat = tmp_path / "schedstat"
    if text is not None:
        schedstat.write_text(text)
    monkeypatch.setattr(clocks, "SCHEDSTAT", schedstat)
    opened = open_clocks()
    assert opened == Clocks(cpu_wait=opened.cpu_wait)
    assert opened.cpu_wait() == 0
