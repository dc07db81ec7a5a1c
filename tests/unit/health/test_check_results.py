"""Thresholds, on paper."""

from __future__ import annotations

import pytest

from meshproxy.health.results import CheckResults
from tests.unit.health.builders import make_check


@pytest.mark.parametrize(
    ("healthy_threshold", "unhealthy_threshold", "results", "verdicts"),
    [
        pytest.param(5, 5, "+", "+", id="the first result decides alone: passed"),
        pytest.param(5, 5, "-", "-", id="the first result decides alone: failed"),
        pytest.param(1, 1, "+-+-", "+-+-", id="thresholds of one"),
        pytest.param(2, 3, "+--+---+-++", "++++++----+", id="only results in a row count"),
        pytest.param(3, 1, "-++-+++", "------+", id="a failure starts the count again"),
        pytest.param(1, 2, "+++++-+-+--", "++++++++++-", id="successes before do not help"),
    ],
)
def test_verdicts(healthy_threshold: int, unhealthy_threshold: int, results: str, verdicts: str) -> None:
    check = make_check(healthy_threshold=healthy_threshold, unhealthy_threshold=unhealthy_threshold)
    record = CheckResults()
    said = ""
    assert CheckResults().healthy is None
    for result in results:
        record.record("" if result == "+" else "connect refused", check)
        said += "+" if record.healthy else "-"
    assert said == verdicts


def test_the_last_failure_and_the_counts_are_kept() -> None:
    record = CheckResults()
    for failure in ("", "connect refused", "HTTP 503, expected 200-399"):
        record.record(failure, make_check())
    assert (record.successes, record.failures, record.failure) == (0, 2, "HTTP 503, expected 200-399")
    record.record("", make_check(healthy_threshold=3))
    assert (record.successes, record.failures, record.failure) == (1, 0, "HTTP 503, expected 200-399")
    assert record.healthy is False
