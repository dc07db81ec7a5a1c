"""Who calls, and how much of it: what workers count by caller, summed by the names that people know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import add
from typing import NamedTuple

import msgspec

from meshproxy.admin.live.differences import ConnectionRate, RequestRate, a_second, difference, request_rate
from meshproxy.admin.live.mesh import Mesh
from meshproxy.admin.live.names import OTHERS, Who
from meshproxy.snapshot.messages import CallerStats, RequestCounts
from meshproxy.telemetry.caller_totals import CallerKey
from meshproxy.telemetry.request_totals import NO_REQUESTS, plus

SHOWN = 8
"""Callers of one call that are told apart, the busiest; all others are one."""


class CallerRate(msgspec.Struct, frozen=True, array_like=True):
    """What one caller does. `call` is the index in `MeshDocument.calls`; `id`, `name` and `secure` are as in `Who`.

    Of `requests` and `connections` that is None of which there is nothing.
    """

    call: int
    id: str
    name: str
    secure: str
    requests: RequestRate | None
    connections: ConnectionRate | None


class _Activity(NamedTuple):
    """What came to be between two looks; `active` is what is open now."""

    requests: RequestCounts = NO_REQUESTS
    active: int = 0
    opened: int = 0
    failed: int = 0
    sent: int = 0
    received: int = 0

    def plus(self, other: _Activity) -> _Activity:
        return _Activity(plus(self.requests, other.requests), *map(add, self[1:], other[1:]))

    @property
    def weight(self) -> tuple[int, int]:
        """More than that of another one where it is more to look at."""
        return sum(self.requests.statuses) + self.active + self.opened + self.failed, self.sent + self.received


_NOTHING = CallerStats("", "", "")


def caller_rates(
    old: Mapping[CallerKey, CallerStats], new: Mapping[CallerKey, CallerStats], window: float, mesh: Mesh
) -> list[CallerRate]:
    """What happened within `window` seconds, by call and caller."""
    calls: dict[int, dict[Who, _Activity]] = {}
    for call, who, activity in _activities(old, new, mesh):
        sums = calls.setdefault(call, {})
        sums[who] = sums[who].plus(activity) if who in sums else activity
    return [
        _rate(call, who, activity, window) for call, sums in calls.items() for who, activity in _busiest(sums).items()
    ]


def _activities(
    old: Mapping[CallerKey, CallerStats], new: Mapping[CallerKey, CallerStats], mesh: Mesh
) -> Iterator[tuple[int, Who, _Activity]]:
    calls: dict[tuple[str, str], int | None] = {}
    for key, now in new.items():
        before = old.get(key, _NOTHING)
        if before is now and not now.active:
            continue
        target = (key.service, key.cluster)
        if target not in calls:
            calls[target] = mesh.index_of_call(*target)
        call, activity = calls[target], _activity(before, now)
        if call is not None and any(activity.weight):
            yield call, mesh.names.who(key.caller), activity


def _activity(before: CallerStats, now: CallerStats) -> _Activity:
    if now.connections < before.connections or sum(now.requests.statuses) < sum(before.requests.statuses):
        before = _NOTHING  # it was forgotten, and came again
    return _Activity(
        difference(before.requests, now.requests) or NO_REQUESTS,
        now.active,
        now.connections - before.connections,
        now.failures - before.failures,
        now.sent - before.sent,
        now.received - before.received,
    )


def _busiest(sums: dict[Who, _Activity]) -> dict[Who, _Activity]:
    """The first few, and all others as one."""
    if len(sums) <= SHOWN:
        return sums
    others = sums.pop(OTHERS, _Activity())
    ranked = sorted(sums, key=lambda who: sums[who].weight, reverse=True)
    for who in ranked[SHOWN:]:
        others = others.plus(sums[who])
    return {**{who: sums[who] for who in ranked[:SHOWN]}, OTHERS: others}


def _rate(call: int, who: Who, activity: _Activity, window: float) -> CallerRate:
    requests, active, *counts = activity
    connections = None
    if active or any(counts):
        connections = ConnectionRate(active, *(a_second(each, window) for each in counts))
    return CallerRate(call, *who, request_rate(requests, window), connections)
