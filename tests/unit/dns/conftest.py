"""A forwarder with a clock that tests set, and upstreams on real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from random import Random

import pytest

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.events import Event
from meshproxy.dns.forwarder import Forwarder


class FakeClock:
    """Stands still until it is told to go."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


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
