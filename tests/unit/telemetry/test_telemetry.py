"""Totals over workers' lives, events, logs, and the exposition."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.events import Event, EventType
from meshproxy.snapshot.messages import EndpointStats, ListenerStats, Stats
from meshproxy.snapshot.model import Assignment, Cluster, Endpoint, Listener, Snapshot, Transport
from meshproxy.telemetry import events
from meshproxy.telemetry.events import EventLog
from meshproxy.telemetry.logs import RateLimited, configure_logging
from meshproxy.telemetry.prometheus import METRICS, MetricsInput, render
from meshproxy.telemetry.totals import EndpointTotals, ListenerTotals, Totals


def make_stats(active: int, connections: int, sent: int = 0) -> Stats:
    endpoint = EndpointStats("c", "10.0.0.1:80", active, connections, 0, 0, sent, 0)
    return Stats((ListenerStats("l", active, connections, 0, 0, 0, 0),), (endpoint,), accept_errors=connections)


def test_totals_never_go_down_when_a_worker_dies() -> None:
    totals = Totals()
    totals.absorb(0, make_stats(2, 10, sent=100))
    totals.absorb(1, make_stats(1, 5, sent=50))
    totals.absorb(0, make_stats(3, 12, sent=120))
    key = ("c", "10.0.0.1:80")
    assert totals.endpoints()[key] == EndpointTotals(active=4, connections=17, sent=170)
    totals.worker_left(0)
    assert totals.endpoints()[key] == EndpointTotals(active=1, connections=17, sent=170)
    totals.absorb(0, make_stats(1, 1, sent=1))
    assert totals.endpoints()[key] == EndpointTotals(active=2, connections=18, sent=171)
    assert totals.listeners()["l"] == ListenerTotals(active=2, accepted=18)
    assert totals.shortages == 18


def test_what_left_the_configuration_is_kept_while_it_is_open() -> None:
    totals = Totals()
    totals.absorb(0, make_stats(1, 1))
    totals.keep_only((), ())
    assert totals.endpoints()
    assert not totals.listeners()
    totals.absorb(0, make_stats(0, 1))
    totals.keep_only((), ())
    assert not totals.endpoints()


def make_event(number: int, subject: str = "Service/s") -> Event:
    return Event(type=EventType.NORMAL, reason="Tested", subject=subject, message=f"event {number}")


def test_events_fold_and_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
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
    log.record(make_event(5, "Worker/0"))
    assert [each.event.message for each in log.events("Worker/0")] == ["event 5"]


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:], root.level = handlers, level


@pytest.mark.usefixtures("root_logger")
def test_logs_as_text_and_as_json() -> None:
    log = logging.getLogger("meshproxy.dataplane.listener")
    stream = io.StringIO()
    configure_logging("text", "info", stream)
    log.debug("not said")
    log.warning("full: %d", 3, extra={"listener": "l"})
    assert stream.getvalue().endswith("WARNING dataplane.listener: full: 3 listener=l\n")
    stream = io.StringIO()
    configure_logging("json", "debug", stream)
    try:
        raise ValueError("x")
    except ValueError:
        log.exception("broken\nline", extra={"n": 1})
    (line,) = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert {name: entry[name] for name in ("level", "logger", "message", "n")} == {
        "level": "error",
        "logger": "dataplane.listener",
        "message": "broken\nline",
        "n": 1,
    }
    assert "ValueError: x" in entry["exception"]


def test_a_warning_is_said_once_in_an_interval(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    limited = RateLimited(logging.getLogger("t"), 1.0, lambda: now)
    for _ in range(5):
        limited.warning("no %s", "descriptor")
    now = 1.5
    limited.warning("no %s", "descriptor")
    assert caplog.messages == ["no descriptor", "no descriptor (4 more since the last time)"]
    assert limited.count == 6


def make_input(**fields: Any) -> MetricsInput:
    endpoint = Endpoint(address=SocketAddress("10.0.0.1", 80), name="w")
    listener = Listener(
        name="l",
        address=SocketAddress("127.0.0.1", 80),
        transport=Transport.TCP,
        cluster="c",
        service="team/s",
        port_name="http",
    )
    snapshot = Snapshot(
        version="v2",
        listeners=(listener,),
        clusters=(
            Cluster(name="c", service="team/s", port_name="http"),
            Cluster(name="c|local", service="team/s", port_name="http"),
        ),
        assignments=(
            Assignment(cluster="c", endpoints=(endpoint,)),
            Assignment(cluster="c|local", endpoints=(endpoint,)),
        ),
    )
    defaults: dict[str, Any] = {
        "snapshot": snapshot,
        "endpoints": {
            ("c", "10.0.0.1:80"): EndpointTotals(active=1, connections=2, sent=3),
            ("c|local", "10.0.0.1:80"): EndpointTotals(active=10, connections=20, sent=30),
        },
        "listeners": {"l": ListenerTotals(accepted=7)},
        "unusable": frozenset({("c|local", "10.0.0.1:80")}),
        "unbound": frozenset({"l"}),
        "worker_states": ("ready", "ready", "starting"),
        "worker_restarts": 4,
        "shortages": 0,
        "rejections": 1,
        "last_good": "v1",
        "sources_up": {"files": False},
    }
    return MetricsInput(**defaults | fields)


def test_the_exposition_parses_and_has_every_metric() -> None:
    families = {family.name: family for family in text_string_to_metric_families(render(make_input()).decode())}
    for name, metric in METRICS.items():
        family = families[name.removesuffix("_total")]
        assert family.type == metric.kind, name
        assert all(set(sample.labels) == set(metric.labels) for sample in family.samples)
    samples = {sample.name: sample for family in families.values() for sample in family.samples}
    sent = samples["meshproxy_endpoint_sent_bytes_total"]
    assert (sent.value, sent.labels["service"], sent.labels["workload"]) == (33, "s", "w")
    assert samples["meshproxy_listener_up"].value == 0
    assert samples["meshproxy_worker_restarts_total"].value == 4
    assert samples["meshproxy_config_info"].labels == {"version": "v2", "last_good": "v1"}
