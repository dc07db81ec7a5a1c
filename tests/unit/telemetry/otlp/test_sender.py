"""What becomes of spans while a collector is well, is away, refuses, or hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from meshproxy.aio.tasks import OwnedTasks
from meshproxy.snapshot.messages import TraceRecord
from meshproxy.telemetry.otlp import sender as module
from meshproxy.telemetry.otlp import spans
from meshproxy.telemetry.otlp.sender import MAX_WAITING, Sender, SenderStatus
from tests.support.collector import Collector
from tests.support.traces import make_trace

Made = Sender[TraceRecord]


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with Collector() as made:
        yield made


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


@pytest.fixture
async def tasks() -> AsyncIterator[OwnedTasks]:
    owned = OwnedTasks()
    yield owned
    await owned.cancel()


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INTERVAL", 0.01)
    monkeypatch.setattr(module, "MAX_PAUSE", 0.01)


def make_sender(session: aiohttp.ClientSession, url: str, **fields: Any) -> Made:
    where = module.Collector(f"{url}/v1/traces", {"x-key": "k"}, fields.pop("timeout", 5.0))
    return Sender("traces", where, session, lambda batch: spans.request_of(batch, Resource()), lambda: 0.0, **fields)


async def becomes(sender: Made, sent: int, dropped: int, problem: str = "") -> None:
    """Wait until a sender has sent and dropped so many, and has nothing left."""
    expected = SenderStatus(sent, dropped, 0, problem)
    try:
        async with asyncio.timeout(10):
            while sender.status() != expected:
                await asyncio.sleep(0)
    except TimeoutError:
        assert sender.status() == expected


async def test_batches_arrive(collector: Collector, session: aiohttp.ClientSession, tasks: OwnedTasks) -> None:
    sender = make_sender(session, collector.url, batch=10)
    tasks.start(sender.run(), name="sender")
    sender.put([make_trace() for _ in range(25)], dropped=2)
    await collector.wait_until(lambda: len(collector.spans) == 50)
    await becomes(sender, 25, 2)
    assert len(collector.headers) == 3
    assert all(headers["x-key"] == "k" for headers in collector.headers)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_collector_that_is_busy_is_asked_again(
    collector: Collector, session: aiohttp.ClientSession, tasks: OwnedTasks, status: int
) -> None:
    collector.answers = [(status, {"Retry-After": "0"}), (status, {"Retry-After": "soon"}), (status, {})]
    sender = make_sender(session, collector.url)
    tasks.start(sender.run(), name="sender")
    sender.put([make_trace()])
    await collector.wait_until(lambda: len(collector.spans) == 2)
    await becomes(sender, 1, 0)
    assert len(collector.headers) == 4


@pytest.mark.parametrize("status", [400, 401, 404, 500, 413])
async def test_a_batch_that_is_refused_is_dropped(
    collector: Collector, session: aiohttp.ClientSession, tasks: OwnedTasks, status: int
) -> None:
    collector.answers = [(status, {})]
    sender = make_sender(session, collector.url, batch=1)
    tasks.start(sender.run(), name="sender")
    sender.put([make_trace(), make_trace()])
    await collector.wait_until(lambda: len(collector.spans) == 2)
    await becomes(sender, 1, 1)
    assert len(collector.headers) == 2


async def test_a_collector_that_is_not_there_costs_data_only(
    collector: Collector, session: aiohttp.ClientSession, tasks: OwnedTasks, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, in words; and that it is over."""
    caplog.set_level("INFO", logger="meshproxy.telemetry.otlp.sender")
    url, collector.url = collector.url, ""
    sender = make_sender(session, "http://127.0.0.1:1")
    tasks.start(sender.run(), name="sender")
    sender.put([make_trace()])
    async with asyncio.timeout(10):
        while not sender.status().dropped:
            await asyncio.sleep(0)
    status = sender.status()
    assert (status.sent, status.dropped) == (0, 1)
    assert "127.0.0.1:1" in status.problem
    assert [record.message for record in caplog.records] == [f"traces cannot be sent: {status.problem}"]
    sender._collector = sender._collector._replace(url=f"{url}/v1/traces")
    sender.put([make_trace()])
    await becomes(sender, 1, 1)
    assert caplog.records[-1].message == "traces are sent again"


async def test_a_collector_that_hangs_is_left(
    collector: Collector, session: aiohttp.ClientSession, tasks: OwnedTasks
) -> None:
    collector.hangs = True
    sender = make_sender(session, collector.url, timeout=0.05)
    tasks.start(sender.run(), name="sender")
    sender.put([make_trace()])
    async with asyncio.timeout(10):
        while not sender.status().dropped:
            await asyncio.sleep(0)
    assert sender.status().problem == "no answer within 0.05 s"


async def test_what_a_collector_rejects_of_a_batch_is_dropped(
    collector: Collector, session: aiohttp.ClientSession, tasks: OwnedTasks
) -> None:
    collector.rejects = (2, "too old")
    sender = make_sender(session, collector.url)
    tasks.start(sender.run(), name="sender")
    sender.put([make_trace() for _ in range(5)])
    await becomes(sender, 3, 2, f"{collector.url}/v1/traces rejected 2 of 5: too old")
    collector.rejects = (0, "")
    sender.put([make_trace()])
    await becomes(sender, 4, 2)


async def test_a_redirect_is_not_followed(
    collector: Collector, session: aiohttp.ClientSession, tasks: OwnedTasks
) -> None:
    """A POST would become a GET, whose success would count."""
    collector.answers = [(302, {"Location": "/"})]
    sender = make_sender(session, collector.url)
    tasks.start(sender.run(), name="sender")
    sender.put([make_trace()])
    await becomes(sender, 0, 1, f"{collector.url}/v1/traces answered 302 'as it was told'")


async def test_what_cannot_be_encoded_costs_its_batch(
    collector: Collector, session: aiohttp.ClientSession, tasks: OwnedTasks, caplog: pytest.LogCaptureFixture
) -> None:
    sender = make_sender(session, collector.url, batch=1)
    tasks.start(sender.run(), name="sender")
    sender.put([make_trace(head=b"no head at all"), make_trace()])
    await becomes(sender, 1, 1)
    assert "a batch of traces cannot be encoded" in caplog.text
    caplog.clear()


async def test_what_waits_is_bounded(session: aiohttp.ClientSession) -> None:
    sender = make_sender(session, "http://127.0.0.1:1")
    trace = make_trace()
    for _ in range(3):
        sender.put([trace] * MAX_WAITING)
    assert sender.status() == SenderStatus(0, 2 * MAX_WAITING, MAX_WAITING, "")


async def test_the_end_sends_what_was_under_way(
    collector: Collector, session: aiohttp.ClientSession, tasks: OwnedTasks
) -> None:
    collector.hangs = True
    sender = make_sender(session, collector.url, batch=2)
    tasks.start(sender.run(), name="sender")
    sender.put([make_trace() for _ in range(3)])
    await collector.wait_until(lambda: bool(collector.headers))
    await tasks.cancel()
    assert sender.status() == SenderStatus(0, 0, 3, "")
    collector.hangs = False
    await sender.flush()
    assert sender.status() == SenderStatus(3, 0, 0, "")
    assert len(collector.spans) == 6


async def test_the_end_sends_what_waits(collector: Collector, session: aiohttp.ClientSession) -> None:
    sender = make_sender(session, collector.url, batch=2)
    sender.put([make_trace() for _ in range(5)])
    await sender.flush()
    assert sender.status() == SenderStatus(5, 0, 0, "")
    assert len(collector.spans) == 10
