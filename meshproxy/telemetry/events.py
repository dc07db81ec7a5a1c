"""The last things that happened, for `describe` and the log."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from meshproxy.base.events import Event, EventType

MAX_EVENTS = 1000

_log = logging.getLogger("meshproxy.events")


class RecordedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event and how often it happened. Times are seconds since 1970."""

    event: Event
    count: int
    first: float
    last: float


class EventLog:
    """Keeps the newest `MAX_EVENTS`; the same event again is counted, as Kubernetes does."""

    def __init__(self, wall_clock: Callable[[], float]) -> None:
        self._wall_clock = wall_clock
        self._recorded: OrderedDict[Event, RecordedEvent] = OrderedDict()

    def record(self, event: Event) -> None:
        """Keep `event`, and log it."""
        now = self._wall_clock()
        known = self._recorded.pop(event, None)
        count, first = (known.count + 1, known.first) if known is not None else (1, now)
        self._recorded[event] = RecordedEvent(event=event, count=count, first=first, last=now)
        if len(self._recorded) > MAX_EVENTS:
            self._recorded.popitem(last=False)
        level = logging.WARNING if event.type is EventType.WARNING else logging.INFO
        _log.log(level, "%s: %s", event.subject, event.message, extra={"reason": event.reason})

    def events(self, subject: str | None = None) -> tuple[RecordedEvent, ...]:
        """The oldest first; those of one `subject`, or all."""
        return tuple(each for each in self._recorded.values() if subject in (None, each.event.subject))
