"""What a worker reports of requests: by rule, backend, endpoint and flag, and for the access log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from meshproxy.dataplane.http.recent import BAD as BAD_ONES
from meshproxy.dataplane.http.recent import GOOD
from meshproxy.snapshot.messages import AccessRecord, RequestCounts, RequestStats
from meshproxy.snapshot.model import AccessLog, ProxySettings, Snapshot
from meshproxy.snapshot.routes import Backend, Filters, Redirect, RetryCondition, RetryPolicy, RouteMatch
from tests.support.access import decoded
from tests.support.http import OK, HTTPPlane, Origin, Received, rule

BAD = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"


class Reports:
    """Everything that a data plane reported so far, the newest of each."""

    def __init__(self, plane: HTTPPlane) -> None:
        self._plane = plane
        self.rules: dict[tuple[str, str, str], RequestCounts] = {}
        self.endpoints: dict[str, tuple[int, RequestCounts]] = {}
        self.flags: dict[str, int] = {}

    def take(self) -> list[RequestStats]:
        messages = list(self._plane.plane.take_request_statistics())
        for message in messages:
            self.rules |= {(each.table, each.rule, each.backend): each.requests for each in message.routes}
            self.endpoints |= {each.endpoint: (each.idle, each.requests) for each in message.endpoints}
            self.flags |= {flag: count for _, flag, count in message.flags}
        list(self._plane.plane.take_statistics())  # the supervisor takes both
        return messages

    def statuses(self, *key: str) -> tuple[int, ...]:
        table, name, backend = key
        return self.rules[table, name, backend].statuses


@pytest.fixture
async def plane() -> AsyncIterator[HTTPPlane]:
    made = HTTPPlane()
    yield made
    await made.stop()


@pytest.fixture
async def origins() -> AsyncIterator[tuple[Origin, Origin]]:
    made = (Origin(), Origin(BAD))
    for each in made:
        await each.start()
    yield made
    for each in made:
        await each.stop()


async def test_requests_count_for_their_backend(plane: HTTPPlane, origins: tuple[Origin, Origin]) -> None:
    moved = rule(
        name="moved", matches=(RouteMatch(path="/old"),), backends=(), filters=Filters(redirect=Redirect(status=301))
    )
    backends = (Backend(cluster="c0", label="good:80"), Backend(cluster="c1", weight=1, label="bad:80"))
    plane.route(moved, rule(name="split", backends=backends, matches=(RouteMatch(path="/s"),)), origins=origins)
    client = await plane.connect()
    for _ in range(40):
        await client.get(b"/s")
    await client.get(b"/old")
    await client.get(b"/nothing")
    reports = Reports(plane)
    reports.take()
    good, bad = len(origins[0].requests), len(origins[1].requests)
    assert (good + bad, bool(good), bool(bad)) == (40, True, True)
    assert reports.statuses("t", "split", "good:80") == (0, 0, good, 0, 0, 0)
    assert reports.statuses("t", "split", "bad:80") == (0, 0, 0, 0, 0, bad)
    assert reports.statuses("t", "moved", "") == (0, 0, 0, 1, 0, 0)
    assert reports.statuses("t", "", "") == (0, 0, 0, 0, 1, 0)
    assert ("t", "split", "") not in reports.rules
    assert reports.flags == {"NR": 1}
    assert reports.endpoints[origins[0].endpoint.id][1].statuses == (0, 0, good, 0, 0, 0)
    assert sum(reports.rules["t", "split", "good:80"].latencies) == good


async def test_a_backend_that_is_missing_has_its_500s(plane: HTTPPlane, origins: tuple[Origin, Origin]) -> None:
    plane.route(rule(backends=(Backend(label="gone:80", problem="there is none"),)), origins=origins)
    client = await plane.connect()
    assert (await client.get()).status == 500
    reports = Reports(plane)
    reports.take()
    assert reports.statuses("t", "r", "gone:80") == (0, 0, 0, 0, 0, 1)
    assert reports.flags == {"NC": 1}


async def test_a_request_counts_once_however_often_it_is_tried(
    plane: HTTPPlane, origins: tuple[Origin, Origin]
) -> None:
    answers = iter((BAD, BAD, OK))

    async def answer(received: Received) -> bytes:
        return next(answers)

    origins[0].answer = answer
    retry = RetryPolicy(attempts=2, conditions=(RetryCondition.STATUS,), statuses=(503,), backoff=0.001)
    plane.route(rule(retry=retry), origins=origins[:1])
    client = await plane.connect()
    assert (await client.get()).status == 200
    reports = Reports(plane)
    reports.take()
    counts = reports.rules["t", "r", "c0"]
    assert (counts.statuses, counts.retries) == ((0, 0, 1, 0, 0, 0), 2)
    assert reports.endpoints[origins[0].endpoint.id][1].statuses == (0, 0, 1, 0, 0, 2)


async def test_http_without_routes(plane: HTTPPlane, origins: tuple[Origin, Origin]) -> None:
    plane.route(origins=origins[:1])
    client = await plane.connect()
    await client.get()
    assert (await client.ask(b"GARBAGE\r\n\r\n")).status == 400
    reports = Reports(plane)
    reports.take()
    assert reports.rules.keys() == {("", "c0", "")}
    assert reports.statuses("", "c0", "") == (0, 0, 1, 0, 1, 0)


async def test_only_what_changed_is_reported(plane: HTTPPlane, origins: tuple[Origin, Origin]) -> None:
    plane.route(rule(), origins=origins[:1])
    client = await plane.connect()
    await client.get()
    reports = Reports(plane)
    assert len(reports.take()) == 1
    assert reports.take() == []
    await client.get()
    (again,) = reports.take()
    assert [each.requests.statuses[2] for each in again.routes] == [2], "counts are cumulative"


async def test_rules_that_are_gone_are_forgotten(plane: HTTPPlane, origins: tuple[Origin, Origin]) -> None:
    plane.route(rule(name="old"), origins=origins[:1])
    client = await plane.connect()
    await client.get()
    plane.route(rule(name="new"), origins=origins[:1])
    await client.get()
    reports = Reports(plane)
    reports.take()
    assert reports.statuses("t", "new", "c0") == (0, 0, 1, 0, 0, 0)
    assert {key[1] for key in plane.plane.http._counters} == {"", "new"}


async def test_backends_and_listeners_that_are_gone_are_forgotten(
    plane: HTTPPlane, origins: tuple[Origin, Origin]
) -> None:
    http = plane.plane.http
    for release in range(20):
        backend = Backend(cluster="c0", label=f"cart-{release}:80")
        plane.route(rule(backends=(backend,), matches=(RouteMatch(path="/s"),)), origins=origins)
    client = await plane.connect()
    assert (await client.get(b"/nothing")).status == 404
    assert {backend for _, _, backend in http._counters} == {"", "cart-19:80"}
    assert http.flags.totals == {("l", "NR"): 1}
    plane.apply_snapshot(Snapshot(version="w"))
    assert not http.flags.totals
    assert not http._counters


async def test_an_idle_connection_that_closes_is_reported(plane: HTTPPlane, origins: tuple[Origin, Origin]) -> None:
    plane.route(rule(), origins=origins[:1])
    client = await plane.connect()
    await client.get()
    reports, endpoint = Reports(plane), origins[0].endpoint.id
    while reports.take():
        pass
    assert reports.endpoints[endpoint][0] == 1
    await origins[0].stop()

    def is_gone() -> bool:
        reports.take()
        return reports.endpoints[endpoint][0] == 0

    await plane.wait_until(is_gone)


def log_everything(plane: HTTPPlane, *fields: str) -> None:
    settings = ProxySettings(access_log=AccessLog(fields=fields))
    plane.apply_snapshot(msgspec.structs.replace(plane.snapshot, version="logged", settings=settings))


def records(plane: HTTPPlane) -> list[AccessRecord]:
    return [record for message in plane.plane.take_access_records() for record in decoded(message).records]


async def test_records_of_requests(plane: HTTPPlane, origins: tuple[Origin, Origin]) -> None:
    plane.route(rule(matches=(RouteMatch(path="/a"),)), origins=origins[:1])
    log_everything(plane, "user-agent", "x-none")
    client = await plane.connect()
    body = b"POST /a%20b HTTP/1.1\r\nHost: Shop\r\nUser-Agent: caf\xe9\r\nContent-Length: 3\r\n\r\nabc"
    assert (await client.ask(body)).status == 404
    await client.get(b"/a?x=1", b"User-Agent: curl")
    missing, found = records(plane)
    assert (missing.status, missing.flags, missing.detail, missing.rule) == (404, "NR", "no rule matches", "")
    assert (missing.method, missing.target, missing.host, missing.received) == ("POST", "/a%20b", "Shop", 3)
    assert missing.fields == {"user-agent": "caf\ufffd"}
    assert (found.status, found.flags, found.rule, found.cluster) == (200, "", "r", "c0")
    assert (found.target, found.endpoint, found.sent) == ("/a?x=1", origins[0].endpoint.id, 2)
    assert (found.attempts, found.client, found.peer) == (1, "127.0.0.1", "127.0.0.1")
    assert 0 <= found.upstream_seconds <= found.seconds
    assert found.fields == {"user-agent": "curl"}
    assert records(plane) == []


async def test_what_is_no_request_is_recorded_too(plane: HTTPPlane, origins: tuple[Origin, Origin]) -> None:
    plane.route(rule(), origins=origins[:1])
    log_everything(plane)
    client = await plane.connect()
    await client.ask(b"GET /\x00 HTTP/1.1\r\nHost: s\r\n\r\n")
    (record,) = records(plane)
    assert (record.status, record.flags, record.method, record.attempts) == (400, "DPE", "", 0)
    assert record.detail


async def test_a_client_that_hangs_up_is_recorded(plane: HTTPPlane, origins: tuple[Origin, Origin]) -> None:
    asked = asyncio.Event()

    async def answer(received: Received) -> None:
        asked.set()
        await asyncio.Event().wait()

    origins[0].answer = answer
    plane.route(rule(), origins=origins[:1])
    log_everything(plane)
    client = await plane.connect()
    await client.send(b"GET / HTTP/1.1\r\nHost: s\r\n\r\n")
    await asked.wait()
    client.writer.transport.abort()
    kept: list[AccessRecord] = []
    while not kept:
        await asyncio.sleep(0)
        kept += records(plane)
    (record,) = kept
    assert (record.status, record.flags) == (0, "DC")


async def test_without_a_log_nothing_is_recorded(plane: HTTPPlane, origins: tuple[Origin, Origin]) -> None:
    plane.route(rule(), origins=origins[:1])
    client = await plane.connect()
    await client.get()
    assert records(plane) == []


async def test_a_few_requests_are_shown_without_an_access_log(plane: HTTPPlane, origins: tuple[Origin, Origin]) -> None:
    plane.route(rule(matches=(RouteMatch(path="/s"),)), origins=origins[:1])
    client = await plane.connect()
    for _ in range(GOOD + 3):
        await client.get(b"/s")
    for number in range(BAD_ONES + 3):
        await client.get(b"/missing/%d" % number)
    await (await plane.connect()).ask(b"GARBAGE\r\n\r\n")
    shown = plane.plane.take_recent_records()
    assert shown is not None
    assert [(each.target, each.status) for each in shown.records] == [
        *[("/s", 200)] * GOOD,
        *[(f"/missing/{number}", 404) for number in range(BAD_ONES)],
    ]
    assert list(plane.plane.take_access_records()) == []
    assert plane.plane.take_recent_records() is None
    await client.get(b"/s")
    again = plane.plane.take_recent_records()
    assert again is not None, "each report begins anew"
    assert again.records[0].endpoint == origins[0].endpoint.id


async def test_what_is_no_request_is_shown(plane: HTTPPlane, origins: tuple[Origin, Origin]) -> None:
    plane.route(rule(), origins=origins[:1])
    await (await plane.connect()).ask(b"GARBAGE\r\n\r\n")
    shown = plane.plane.take_recent_records()
    assert shown is not None
    assert [(each.status, each.flags) for each in shown.records] == [(400, "DPE")]
