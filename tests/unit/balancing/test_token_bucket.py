"""A rate limit lets through what it says, whenever requests come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.balancing.token_bucket import TokenBucket


def taken(bucket: TokenBucket, times: list[float]) -> int:
    return sum(not bucket.take(now) for now in times)


def test_a_burst_then_the_rate() -> None:
    bucket = TokenBucket(requests=10, interval=1.0, burst=3)
    assert [bucket.take(100.0) for _ in range(5)] == [0, 0, 0, pytest.approx(0.1), pytest.approx(0.1)]
    assert bucket.take(100.05) == pytest.approx(0.05)
    assert bucket.take(100.11) == 0
    assert taken(bucket, [1000.0] * 10) == 3


def test_without_a_burst_as_many_as_requests() -> None:
    assert taken(TokenBucket(requests=10, interval=60.0, burst=0), [1.0] * 100) == 10


def test_a_share_is_a_part_of_the_burst_and_of_the_rate() -> None:
    bucket = TokenBucket(requests=10, interval=1.0, burst=20, share=0.25)
    assert taken(bucket, [0.0] * 100) == 5
    assert bucket.take(0.0) == pytest.approx(0.4)


def test_the_least_share_lets_one_through() -> None:
    bucket = TokenBucket(requests=1, interval=1.0, burst=0, share=1 / 256)
    assert bucket.take(0.0) == 0
    assert bucket.take(0.0) == pytest.approx(256)
    assert bucket.take(256.1) == 0


def test_a_clock_that_jumps_back_changes_nothing() -> None:
    bucket = TokenBucket(requests=1, interval=1.0, burst=1)
    assert bucket.take(100.0) == 0
    assert bucket.take(5.0) > 0
    assert bucket.take(100.5) > 0
    assert bucket.take(101.01) == 0


def test_it_does_not_drift() -> None:
    bucket = TokenBucket(requests=1000, interval=1.0, burst=1)
    calls = 300_000
    assert taken(bucket, [number / 3000 for number in range(calls)]) == pytest.approx(calls / 3, rel=0.001)


@given(
    requests=st.integers(1, 1000),
    interval=st.floats(0.01, 1000),
    burst=st.integers(1, 1000),
    share=st.sampled_from([1.0, 0.5, 1 / 3, 1 / 16]),
    gaps=st.lists(st.floats(0, 10), max_size=60),
)
def test_no_stretch_of_time_lets_more_through_than_burst_and_rate(
    requests: int, interval: float, burst: int, share: float, gaps: list[float]
) -> None:
    bucket = TokenBucket(requests, interval, burst, share)
    now, allowed = 1e6, []
    for gap in gaps:
        now += gap
        if not bucket.take(now):
            allowed.append(now)
    for first in range(len(allowed)):
        for last in range(first, len(allowed)):
            seconds = allowed[last] - allowed[first]
            assert last - first + 1 <= max(1.0, burst * share) + seconds * requests * share / interval + 1e-6


@given(requests=st.integers(1, 1000), interval=st.floats(0.01, 1000), waits=st.integers(1, 50))
def test_whoever_waits_as_long_as_told_is_let_through(requests: int, interval: float, waits: int) -> None:
    bucket = TokenBucket(requests, interval, 1)
    now = 1e6
    assert bucket.take(now) == 0
    for _ in range(waits):
        now += bucket.take(now) * (1 + 1e-6) + 1e-6
        assert bucket.take(now) == 0
