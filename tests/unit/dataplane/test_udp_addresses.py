"""Which address a datagram comes from, goes to and is answered from; who may send one, and for whom."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest

from meshproxy.aio import pktinfo
from meshproxy.base.addresses import SocketAddress
from meshproxy.protocols import proxy_protocol
from meshproxy.snapshot.model import Algorithm
from tests.support.datagrams import MakeClient, MakeServer
from tests.support.dataplane import Plane, wait_until


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="::1 is not there: enable IPv6 on the loopback interface")


class TestReplies:
    """A reply comes from where the datagram went: resolvers, for one, drop any other."""

    async def test_a_wildcard_listener_answers_from_the_address_that_was_asked(
        self, udp: Plane, make_server: MakeServer, make_client: MakeClient
    ) -> None:
        server, client = make_server(), make_client()
        udp.address = ("0.0.0.0", udp.address[1])
        udp.apply(server.endpoint)
        for host in ("127.0.0.5", "127.8.9.10", "127.0.0.1", "127.0.0.5"):
            await client.ask(b"x", SocketAddress(host, udp.address[1]))
        assert len(server.peers) == 3, "one socket asked three addresses: three sessions"

    @needs_ipv6
    async def test_so_does_an_ipv6_one(self, udp: Plane, make_server: MakeServer, make_client: MakeClient) -> None:
        server, client = make_server(), make_client("::1")
        udp.address = ("::", udp.address[1])
        udp.apply(server.endpoint)
        await client.ask(b"x", SocketAddress("::1", udp.address[1]))
        await client.ask(b"y", SocketAddress("::1", udp.address[1]))
        assert len(server.peers) == 1

    @needs_ipv6
    @pytest.mark.parametrize(("front", "back"), [("::1", "127.0.0.1"), ("127.0.0.1", "::1"), ("::1", "::1")])
    async def test_families_mix(
        self, udp: Plane, make_server: MakeServer, make_client: MakeClient, front: str, back: str
    ) -> None:
        server, client = make_server(back), make_client(front)
        udp.address = (front, udp.address[1])
        udp.apply(server.endpoint)
        assert await client.ask(b"x", SocketAddress(*udp.address)) == b"x"

    def test_a_broadcast_is_answered_from_our_own_address(self) -> None:
        interface, own, broadcast = b"\7\0\0\0", b"\xc0\0\2\1", b"\xc0\0\2\xff"
        item = (socket.IPPROTO_IP, pktinfo.IP_PKTINFO, interface + own + broadcast)
        assert pktinfo.host_of(pktinfo.reply_source([item])) == "192.0.2.1"

    def test_what_came_before_the_option_was_set_is_answered_from_its_destination(self) -> None:
        item = (socket.IPPROTO_IP, pktinfo.IP_PKTINFO, bytes(8) + b"\xc0\0\2\1")
        assert pktinfo.host_of(pktinfo.reply_source([item])) == "192.0.2.1"

    @pytest.mark.parametrize(("host", "interface"), [("2001:db8::1", 0), ("fe80::1", 7)])
    def test_only_a_link_local_address_keeps_its_interface(self, host: str, interface: int) -> None:
        seven = (7).to_bytes(4, "little")
        source = pktinfo.reply_source([(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, ip_address(host).packed + seven)])
        assert source == ip_address(host).packed + interface.to_bytes(4, "little")
        assert pktinfo.control_for(source) == ((socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, source),)

    def test_without_ancillary_data_nothing_is_asked(self) -> None:
        assert pktinfo.control_for(pktinfo.reply_source([])) == ()
        assert pktinfo.host_of(b"") == ""


class TestSourceRanges:
    """`loadBalancerSourceRanges`."""

    async def test_others_are_denied(self, udp: Plane, make_server: MakeServer, make_client: MakeClient) -> None:
        server = make_server()
        udp.apply(server.endpoint, listener={"allowed_sources": ("127.0.0.2/32",)})
        make_client().send(b"no", SocketAddress(*udp.address))
        assert await make_client("127.0.0.2").ask(b"yes", SocketAddress(*udp.address)) == b"yes"
        assert server.got == [b"yes"]
        assert udp.stats()["l"]["denied"] == 1

    async def test_who_may_no_longer_loses_the_session(
        self, udp: Plane, make_server: MakeServer, make_client: MakeClient
    ) -> None:
        server = make_server()
        clients = [make_client(), make_client("127.0.0.2")]
        udp.apply(server.endpoint)
        for client in clients:
            await client.ask(b"x", SocketAddress(*udp.address))
        udp.apply(server.endpoint, listener={"allowed_sources": ("127.0.0.2/32",)})
        assert udp.stats()["l"]["active"] == 1
        clients[0].send(b"no", SocketAddress(*udp.address))
        assert await clients[1].ask(b"yes", SocketAddress(*udp.address)) == b"yes"
        assert b"no" not in server.got
        assert len(server.peers) == 2


class TestProxyProtocolIn:
    """Every datagram says for whom it is."""

    DESTINATION = SocketAddress("192.0.2.80", 53)

    def header(self, host: str, port: int = 4000) -> bytes:
        return proxy_protocol.encode_v2(SocketAddress(host, port), self.DESTINATION, datagram=True)

    async def test_clients_behind_one_proxy_have_a_session_each(
        self, udp: Plane, make_server: MakeServer, make_client: MakeClient
    ) -> None:
        server, front = make_server(), make_client()
        udp.apply(server.endpoint, listener={"accept_proxy_protocol": True})
        for host in ("192.0.2.1", "192.0.2.2", "192.0.2.1"):
            answer = await front.ask(self.header(host) + host.encode(), SocketAddress(*udp.address))
            assert answer == host.encode(), "the answer goes back bare"
        assert server.got == [b"192.0.2.1", b"192.0.2.2", b"192.0.2.1"]
        assert len(server.peers) == 2

    async def test_the_header_decides_for_whom_is_picked(
        self, udp: Plane, make_server: MakeServer, make_client: MakeClient
    ) -> None:
        servers = [make_server() for _ in range(3)]
        udp.apply(
            *(server.endpoint for server in servers),
            listener={"accept_proxy_protocol": True},
            algorithm=Algorithm.MAGLEV,
        )
        for port in range(6):
            await make_client().ask(self.header("192.0.2.1", port) + b"x", SocketAddress(*udp.address))
        assert sorted(len(server.got) for server in servers) == [0, 0, 6]

    async def test_a_local_header_speaks_for_the_sender_itself(
        self, udp: Plane, make_server: MakeServer, make_client: MakeClient
    ) -> None:
        server, front = make_server(), make_client()
        udp.apply(server.endpoint, listener={"accept_proxy_protocol": True})
        local = proxy_protocol.SIGNATURE + b"\x20\0\0\0"
        assert await front.ask(local + b"check", SocketAddress(*udp.address)) == b"check"

    async def test_datagrams_without_a_whole_header_are_dropped(
        self, udp: Plane, make_server: MakeServer, make_client: MakeClient
    ) -> None:
        server, front = make_server(), make_client()
        udp.apply(server.endpoint, listener={"accept_proxy_protocol": True})
        header = self.header("192.0.2.1")
        for garbage in (b"", b"query", header[:-1], b"\0" * 40):
            front.send(garbage, SocketAddress(*udp.address))
        assert await front.ask(header + b"good", SocketAddress(*udp.address)) == b"good"
        front.send(b"bare", SocketAddress(*udp.address))  # nor does an earlier header speak for a later datagram
        await wait_until(lambda: udp.stats()["l"]["malformed"] == 5)
        assert server.got == [b"good"]

    async def test_switching_it_on_ends_the_sessions_that_knew_no_header(
        self, udp: Plane, make_server: MakeServer, make_client: MakeClient
    ) -> None:
        server, client = make_server(), make_client()
        udp.apply(server.endpoint)
        await client.ask(b"1", SocketAddress(*udp.address))
        udp.apply(server.endpoint, listener={"accept_proxy_protocol": True})
        assert udp.stats()["l"]["active"] == 0


class TestProxyProtocolOut:
    """Every datagram to an endpoint begins with a header."""

    @pytest.mark.parametrize("version", [1, 2])
    async def test_who_asked_whom(
        self, udp: Plane, make_server: MakeServer, make_client: MakeClient, version: int
    ) -> None:
        server, client = make_server(), make_client()
        udp.address = ("0.0.0.0", udp.address[1])
        udp.apply(server.endpoint, send_proxy_protocol=version)
        asked = SocketAddress("127.0.0.5", udp.address[1])
        expected = proxy_protocol.encode_v2(client.address, asked, datagram=True)
        for data in (b"1", b"", b"3"):
            assert await client.ask(data, asked) == expected + data
        assert udp.stats()[server.endpoint.id]["sent"] == 2, "payload is counted, not headers"

    async def test_what_came_in_a_header_goes_out_in_one(
        self, udp: Plane, make_server: MakeServer, make_client: MakeClient
    ) -> None:
        server, front = make_server(), make_client()
        udp.apply(server.endpoint, listener={"accept_proxy_protocol": True}, send_proxy_protocol=2)
        source = SocketAddress("2001:db8::1", 4000)
        sent = proxy_protocol.encode_v2(source, SocketAddress("2001:db8::2", 53), datagram=True)
        header = proxy_protocol.parse(await front.ask(sent + b"x", SocketAddress(*udp.address)))
        assert header is not None
        assert header.source == source

    async def test_what_no_longer_fits_is_dropped_and_counted(
        self, udp: Plane, make_server: MakeServer, make_client: MakeClient
    ) -> None:
        server, client = make_server(), make_client()
        udp.apply(server.endpoint, send_proxy_protocol=2)
        client.send(bytes(65507), SocketAddress(*udp.address))
        assert (await client.ask(b"x", SocketAddress(*udp.address))).endswith(b"x")
        stats = udp.stats()
        assert (stats["l"]["dropped"], stats["l"]["accepted"]) == (1, 1)
        assert stats[server.endpoint.id]["connect_failures"] == 0
