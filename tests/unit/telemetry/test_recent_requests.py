"""The last requests that workers showed."""

from __future__ import annotations

import pytest

from meshproxy.telemetry.recent_requests import KEPT, RecentRequests
from tests.support.access import make_record


def test_what_came_after_a_number_is_found() -> None:
    recent = RecentRequests()
    recent.add([make_record(target="/a"), make_record(target="/b", status=500)])
    recent.add([make_record(target="/c")])
    assert [(each.number, each.path) for each in recent.after(0)] == [(1, "/a"), (2, "/b"), (3, "/c")]
    assert [each.number for each in recent.after(2)] == [3]
    assert recent.after(3) == ()


def test_the_many_that_went_well_do_not_push_out_the_few_that_did_not() -> None:
    recent = RecentRequests()
    recent.add([make_record(target="/bad", status=503)])
    recent.add(make_record(target=f"/{number}") for number in range(2 * KEPT))
    kept = recent.after(0)
    assert len(kept) == KEPT + 1
    assert (kept[0].path, kept[-1].number) == ("/bad", 2 * KEPT + 1)


@pytest.mark.parametrize(
    ("fields", "bad"),
    [
        ({}, False),
        ({"status": 302}, False),
        ({"status": 404}, True),
        ({"status": 0}, True),
        ({"flags": "DC"}, True),
    ],
)
def test_what_is_bad(fields: dict[str, object], bad: bool) -> None:
    recent = RecentRequests()
    recent.add([make_record(**fields)])
    assert [each.bad for each in recent.after(0)] == [bad]


def test_queries_are_not_kept() -> None:
    recent = RecentRequests()
    recent.add([make_record(target="/pay?card=4111")])
    assert "4111" not in repr(recent.after(0))
