"""The last things that happened."""

from __future__ import annotations

import logging

import pytest

from meshproxy.base.events import Event, EventType
from meshproxy.telemetry import events
from meshproxy.telemetry.events import EventLog


def make_event(number: int, subject: str = "Service/s", kind: EventType = EventType.NORMAL) -> Event:
    return Event(type=kind, reason="Tested", subject=subject, message=f"event {number}")


def test_the_same_event_is_counted_and_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_EVENTS", 3)
    now = iter(range(100))
    log = EventLog(lambda: float(next(now)))
    for number in (1, 2, 1, 3, 4):
        log.record(make_event(number))
    assert [(each.event.message, each.count, each.first, each.last) for each in log.events()] == [
        ("event 1", 2, 0.0, 2.0),
        ("event 3", 1, 3.0, 3.0),
        ("event 4", 1, 4.0, 4.0),
    ]


def test_one_can_ask_for_a_subject() -> None:
    log = EventLog(lambda: 0.0)
    log.record(make_event(1))
    log.record(make_event(2, "Worker/0"))
    assert [each.event.message for each in log.events("Worker/0")] == ["event 2"]
    assert log.events("Service/none") == ()
    assert len(log.events()) == 2


def test_every_event_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    log = EventLog(lambda: 0.0)
    with caplog.at_level(logging.INFO):
        log.record(make_event(1))
        log.record(make_event(2, kind=EventType.WARNING))
        log.record(make_event(2, kind=EventType.WARNING))
    assert [(record.levelname, record.getMessage(), vars(record)["reason"]) for record in caplog.records] == [
        ("INFO", "Service/s: event 1", "Tested"),
        ("WARNING", "Service/s: event 2", "Tested"),
        ("WARNING", "Service/s: event 2", "Tested"),
    ]
