"""Ejection, on paper."""

from __future__ import annotations

import pytest

from meshproxy.health.outlier import OutlierDetector
from tests.unit.health.builders import make_outlier


def eject(detector: OutlierDetector, now: float) -> float:
    """Ejects ``a``, one of four, and says for how long."""
    assert detector.eject("a", 4, now)
    until = detector.until("a")
    assert until is not None
    return until - now


def test_ejections_grow_up_to_the_longest() -> None:
    detector = OutlierDetector(make_outlier(base_ejection_time=30.0, max_ejection_time=70.0))
    lengths, now = [], 0.0
    for _ in range(5):
        length = eject(detector, now)
        lengths.append(length)
        now += length
        assert detector.sweep(now) == ("a",)
    assert lengths == [30, 60, 70, 70, 70]
    assert detector.times("a") == 3, "longer than the longest it does not get, so more are not counted"


def test_it_is_over_at_the_first_sweep_after_its_time() -> None:
    detector = OutlierDetector(make_outlier(base_ejection_time=30.0))
    eject(detector, 0.0)
    assert detector.sweep(29.9) == ()
    assert detector.until("a") == 30
    assert detector.sweep(30.0) == ("a",)
    assert detector.until("a") is None


def test_each_interval_that_it_stays_in_forgives_one_ejection() -> None:
    detector = OutlierDetector(make_outlier())
    eject(detector, 0.0)
    detector.sweep(30.0)
    assert eject(detector, 30.0) == 60, "it returned just now, nothing is forgiven"
    detector.sweep(90.0)
    assert [detector.times("a"), detector.sweep(100.0), detector.times("a")] == [2, (), 1]
    assert eject(detector, 105.0) == 60
    detector.sweep(165.0)
    for now in (175.0, 185.0, 195.0):
        detector.sweep(now)
    assert detector.times("a") == 0
    assert eject(detector, 200.0) == 30


def test_who_is_ejected_is_not_ejected_again() -> None:
    detector = OutlierDetector(make_outlier())
    eject(detector, 0.0)
    assert not detector.eject("a", 4, 10.0)
    assert detector.until("a") == 30


@pytest.mark.parametrize(
    ("percent", "endpoints", "ejected"),
    [(50, 4, 2), (50, 3, 1), (10, 3, 1), (10, 1, 1), (0, 3, 0), (100, 3, 3), (33, 100, 33)],
)
def test_the_share_of_ejected_endpoints_is_bounded(percent: int, endpoints: int, ejected: int) -> None:
    detector = OutlierDetector(make_outlier(max_ejection_percent=percent))
    assert sum(detector.eject(str(number), endpoints, 0.0) for number in range(endpoints)) == ejected


def test_who_left_makes_room() -> None:
    detector = OutlierDetector(make_outlier(max_ejection_percent=50))
    assert detector.eject("a", 2, 0.0)
    assert not detector.eject("b", 2, 0.0)
    detector.forget("a")
    assert detector.eject("b", 2, 0.0)
    assert detector.times("a") == 0
