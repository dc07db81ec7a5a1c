"""The last finished requests that workers showed, for people who look for one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from heapq import merge
from operator import attrgetter

import msgspec

from meshproxy.snapshot.messages import AccessRecord

KEPT = 500
"""Of each kind: requests that went well, and those that did not, so that the many do not push out the few."""


class RecentRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One finished request; see `AccessRecord`. `number` grows with each. `path` is without the query, which may hold
    secrets that nobody asked to keep. `bad` is one without a response, with a status of 400 or more, or a flag.
    """

    number: int
    started: float
    seconds: float
    listener: str
    rule: str
    cluster: str
    endpoint: str
    client: str
    method: str
    host: str
    path: str
    status: int
    flags: str
    detail: str
    received: int
    sent: int
    attempts: int
    request_id: str
    trace_id: str
    sampled: bool
    bad: bool


class RecentRequests:
    """Owns the rings."""

    def __init__(self) -> None:
        self._number = 0
        self._good: deque[RecentRequest] = deque(maxlen=KEPT)
        self._bad: deque[RecentRequest] = deque(maxlen=KEPT)

    def add(self, records: Iterable[AccessRecord]) -> None:
        """Keep what a worker showed."""
        for record in records:
            self._number += 1
            made = _recent(record, self._number)
            (self._bad if made.bad else self._good).append(made)

    def after(self, number: int) -> tuple[RecentRequest, ...]:
        """Those that came after the one with `number`, the oldest first; 0 for all."""
        if number >= self._number:
            return ()
        newer = (_newer(ring, number) for ring in (self._good, self._bad))
        return tuple(merge(*newer, key=attrgetter("number")))


def _newer(ring: deque[RecentRequest], number: int) -> Iterator[RecentRequest]:
    return (each for each in ring if each.number > number)


def _recent(record: AccessRecord, number: int) -> RecentRequest:
    return RecentRequest(
        number=number,
        started=record.started,
        seconds=record.seconds,
        listener=record.listener,
        rule=record.rule,
        cluster=record.cluster,
        endpoint=record.endpoint,
        client=record.client,
        method=record.method,
        host=record.host,
        path=record.target.partition("?")[0],
        status=record.status,
        flags=record.flags,
        detail=record.detail,
        received=record.received,
        sent=record.sent,
        attempts=record.attempts,
        request_id=record.request_id,
        trace_id=record.trace_id,
        sampled=record.sampled,
        bad=not record.status or record.status >= 400 or bool(record.flags),
    )
