"""Which TCP connections are recorded for traces, and as what."""

from __future__ import annotations

from random import Random

import pytest

from meshproxy.dataplane.http.tracing import Tracer
from meshproxy.snapshot.messages import TraceRecord
from meshproxy.snapshot.model import Endpoint
from meshproxy.snapshot.tracing import Tracing
from tests.support.access import decoded
from tests.support.dataplane import MakeBackend, Plane, exchange, is_reset, wait_until


def trace(plane: Plane, *, sampling: float = 1, connections: bool = True) -> None:
    plane.plane.http.tracer = Tracer(Tracing(sampling=sampling, connections=connections), Random(1))


async def taken(plane: Plane) -> list[TraceRecord]:
    await wait_until(lambda: plane.plane.open_connections == 0)
    return [record for message in plane.plane.take_traces() for record in decoded(message).records]


async def test_a_connection_is_recorded_with_its_endpoint(tcp: Plane, make_backend: MakeBackend) -> None:
    backend = await make_backend()
    tcp.apply(backend.endpoint)
    trace(tcp)
    await exchange(tcp, b"hello")
    (record,) = await taken(tcp)
    assert (record.received, record.sent, record.head, record.flags) == (5, 5, b"", "")
    assert [each.endpoint for each in record.tries] == [backend.endpoint.id]
    assert record.tries[0].ended == record.started + record.seconds
    assert record.tries[0].port == backend.endpoint.address.port
    assert record.peer_port


@pytest.mark.parametrize("sampling", [0, 1])
async def test_a_connection_that_nobody_took_says_so(tcp: Plane, closed_endpoint: Endpoint, sampling: float) -> None:
    """Sampled or not: it is an error."""
    tcp.apply(closed_endpoint)
    trace(tcp, sampling=sampling)
    assert await is_reset(tcp)
    (record,) = await taken(tcp)
    assert (record.flags, record.detail, record.tries) == ("UF", "no upstream took the connection", ())


@pytest.mark.parametrize(("sampling", "connections"), [(1, False), (0, True)])
async def test_others_are_not_recorded(
    tcp: Plane, make_backend: MakeBackend, sampling: float, connections: bool
) -> None:
    backend = await make_backend()
    tcp.apply(backend.endpoint)
    trace(tcp, sampling=sampling, connections=connections)
    await exchange(tcp, b"hello")
    assert await taken(tcp) == []
