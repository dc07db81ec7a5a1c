"""TLS connections are free once they are over, as plain ones are."""

from __future__ import annotations

import pytest

from meshproxy.snapshot.tls import UpstreamTLS
from tests.support.freed import alive, hang_up, no_collector, until_alone
from tests.support.tls import TLSPlane, material
from tests.unit.dataplane.tls.conftest import MakeOrigin

__all__ = ["no_collector"]
pytestmark = pytest.mark.usefixtures("no_collector")


async def test_connections_of_clients(plane: TLSPlane, make_origin: MakeOrigin) -> None:
    plane.terminate((await make_origin()).endpoint)
    before = alive()
    await once(plane)
    await until_alone(plane, before)


async def test_connections_to_endpoints(plane: TLSPlane, make_origin: MakeOrigin) -> None:
    plane.put(material("ca", None, plane.ca.bundle))
    origin = await make_origin(tls=plane.server_context(dns=("db",)))
    plane.terminate(origin.endpoint, tls=UpstreamTLS(server_name="db", trust="ca"))
    before = alive()
    await once(plane)
    assert plane.handshakes("upstream").total() == 1
    await until_alone(plane, before)


@pytest.mark.parametrize("garbage", [b"garbage", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"])
async def test_clients_that_are_refused(plane: TLSPlane, make_origin: MakeOrigin, garbage: bytes) -> None:
    plane.terminate((await make_origin()).endpoint)
    before = alive()
    client = await plane.connect()
    await client.send(garbage)
    await client.reader.read()
    await hang_up(plane, client)
    await until_alone(plane, before)


async def once(plane: TLSPlane) -> None:
    """A client's request."""
    client = await plane.secure()
    assert (await client.get()).status == 200
    await hang_up(plane, client)
