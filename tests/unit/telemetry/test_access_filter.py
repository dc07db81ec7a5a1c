"""Which requests are logged."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from meshproxy.snapshot.model import AccessLog
from meshproxy.telemetry.access_filter import AccessFilter


@pytest.mark.parametrize(
    ("config", "request_ended", "logged"),
    [
        ({}, (200, 0.1, ""), True),
        ({"min_status": 400}, (399, 0.1, ""), False),
        ({"min_status": 400}, (404, 0.1, ""), True),
        ({"min_status": 400}, (0, 0.1, "DC"), True),
        ({"min_duration": 0.5}, (200, 0.4, ""), False),
        ({"min_duration": 0.5}, (200, 0.5, ""), True),
        ({"min_duration": 0.5}, (500, 0.4, ""), False),
        ({"flags": ("UF", "UT")}, (503, 0.1, "UF,URX"), True),
        ({"flags": ("UF", "UT")}, (503, 0.1, "UO"), False),
        ({"flags": ("UF", "UT")}, (200, 0.1, ""), False),
        ({"sample": 0.0}, (200, 0.1, ""), False),
        ({"sample": 0.0}, (404, 0.1, ""), False),
        ({"sample": 0.0}, (404, 0.1, "NR"), True),
        ({"sample": 0.0}, (500, 0.1, ""), True),
        ({"sample": 0.0}, (0, 0.1, ""), True),
        ({"sample": 0.0, "always_errors": False}, (500, 0.1, "UF"), False),
        ({"sample": 0.0, "min_duration": 1.0}, (500, 0.1, "UF"), False),
    ],
)
def test_filters(config: dict[str, Any], request_ended: tuple[int, float, str], logged: bool) -> None:
    assert AccessFilter(AccessLog(**config), Random(1).random).wants(*request_ended) is logged


def test_a_sample_is_as_large_as_asked_for() -> None:
    wants = AccessFilter(AccessLog(sample=0.1), Random(1).random).wants
    assert 900 < sum(wants(200, 0.1, "") for _ in range(10_000)) < 1100
