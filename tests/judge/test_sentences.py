"""Figures in the sentences of verdicts."""

from __future__ import annotations

import pytest

from loadtests.judge.sentences import share_words


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.5, "50%"),
        (0.934, "93%"),
        (0.99, "99%"),
        (0.9973, "99.73%"),
        (0.99999, "99.99%"),
        (1.0, "100%"),
    ],
)
def test_a_share_near_one_is_no_false_100_percent(share: float, words: str) -> None:
    assert share_words(share) == words
