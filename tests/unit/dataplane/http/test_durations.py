"""How long requests took, as OpenTelemetry wants to be told."""

from __future__ import annotations

import msgspec

from meshproxy.dataplane.http.durations import Durations
from meshproxy.snapshot.messages import DurationStats, RequestDurations
from meshproxy.snapshot.model import ProxySettings
from meshproxy.snapshot.telemetry import OTLPSettings
from meshproxy.telemetry.semantics import DURATION_BOUNDS
from tests.support.http import HTTPPlane, rule
from tests.unit.dataplane.http.conftest import MakeOrigin


def ask(plane: HTTPPlane, interval: float | None) -> None:
    otlp = OTLPSettings(endpoint="http://127.0.0.1:4318", metrics_interval=interval)
    settings = ProxySettings(otlp=otlp)
    plane.apply_snapshot(msgspec.structs.replace(plane.snapshot, version=str(interval), settings=settings))


def taken(plane: HTTPPlane) -> list[DurationStats]:
    return [each for message in plane.plane.take_durations() for each in message.durations]


async def test_requests_are_told_apart_by_method_and_status(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    plane.route(rule(), origins=(await make_origin(),))
    ask(plane, 15.0)
    client = await plane.connect()
    for _ in range(2):
        assert (await client.get()).status == 200
    assert (await client.ask(b"BREW / HTTP/1.1\r\nHost: s\r\n\r\n")).status == 200
    assert (await client.get(b"/%zz")).status == 400
    found = taken(plane)
    assert [(each.rule, each.method, each.scheme, each.status, sum(each.buckets)) for each in found] == [
        ("r", "GET", "http", 200, 2),
        ("r", "_OTHER", "http", 200, 1),
        ("", "GET", "http", 400, 1),
    ]
    assert taken(plane) == []
    await client.get()
    (changed,) = taken(plane)
    assert (changed.listener, sum(changed.buckets)) == ("l", 3)
    assert changed.seconds >= found[0].seconds


async def test_they_are_not_counted_where_nobody_asks(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    plane.route(rule(), origins=(await make_origin(),))
    client = await plane.connect()
    await client.get()
    ask(plane, None)
    await client.get()
    assert taken(plane) == []


def test_buckets_and_kinds_have_a_bound() -> None:
    durations = Durations()
    for index, seconds in enumerate((*DURATION_BOUNDS, 99.0)):
        durations.count("l", "r", b"M%d" % index, "http", 200, seconds)
    (only,) = durations.take_changed()
    assert (only.method, only.buckets) == ("_OTHER", (1,) * (len(DURATION_BOUNDS) + 1))
    durations.count("gone", "", b"GET", "http", 200, 1.0)
    durations.keep_only("l".__eq__)
    assert list(durations.take_changed()) == []


def test_a_report_fits_a_packet() -> None:
    long = DurationStats("l" * 200, "r" * 200, "OPTIONS", "https", 503, (2**32,) * 15, 1e9)
    assert len(msgspec.msgpack.encode(RequestDurations((long,) * 200))) < 150_000
