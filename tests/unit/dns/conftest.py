"""A forwarder with a clock that tests set, and upstreams on real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random

import pytest

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.events import Event
from meshproxy.dns.forwarder import Forwarder
from tests.support.dns_server import FakeClock, Harness


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def events() -> list[Event]:
    return []


MakeForwarder = Callable[..., Forwarder]


@pytest.fixture
async def make_forwarder(clock: FakeClock, events: list[Event]) -> AsyncIterator[MakeForwarder]:
    """Make forwarders to upstreams, each try for `timeout` seconds; they are stopped afterwards."""
    made: list[Forwarder] = []

    def make(*upstreams: SocketAddress, timeout: float = 5.0, own: SocketAddress | None = None) -> Forwarder:
        forwarder = Forwarder(clock=clock, random=Random(1), on_event=events.append)
        forwarder.configure(upstreams, own, timeout)
        made.append(forwarder)
        return forwarder

    yield make
    for forwarder in made:
        await forwarder.stop()


@pytest.fixture
async def harness(clock: FakeClock, events: list[Event], tmp_path: Path) -> AsyncIterator[Harness]:
    made = Harness(clock, events, tmp_path)
    yield made
    await made.server.stop()
