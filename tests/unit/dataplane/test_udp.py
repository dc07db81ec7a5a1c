"""Datagrams through a real data plane, to real servers, when all is well."""

from __future__ import annotations

from meshproxy.aio.timer_wheel import TimerWheel
from meshproxy.base.addresses import SocketAddress
from meshproxy.dataplane.udp_session import BATCH
from meshproxy.snapshot.model import Algorithm, Assignment, Cluster, Endpoint, Listener, Snapshot, Transport
from tests.support.datagrams import MakeClient, MakeServer
from tests.support.dataplane import Plane, wait_until


def reached(plane: Plane) -> SocketAddress:
    return SocketAddress(*plane.address)


async def test_datagrams_of_every_size_arrive_whole(
    udp: Plane, make_server: MakeServer, make_client: MakeClient
) -> None:
    server, client = make_server(), make_client()
    udp.reactor.resize_buffer(4096)  # streams' buffer: datagrams have one of their own
    udp.apply(server.endpoint)
    for size in (1, 0, 512, 1500, 9000, 65507):
        data = bytes(place % 251 for place in range(size))
        assert await client.ask(data, reached(udp)) == data
    assert len(server.peers) == 1


async def test_counts(udp: Plane, make_server: MakeServer, make_client: MakeClient) -> None:
    server = make_server(answer=lambda data: data * 2)
    client = make_client()
    udp.apply(server.endpoint)
    for _ in range(3):
        await client.ask(b"12345", reached(udp))
    stats = udp.stats()
    assert (stats["l"]["accepted"], stats["l"]["active"]) == (1, 1)
    endpoint = stats[server.endpoint.id]
    assert (endpoint["active"], endpoint["connections"], endpoint["connect_failures"]) == (1, 1, 0)
    assert (endpoint["sent"], endpoint["received"]) == (15, 30)


async def test_many_clients_share_the_endpoints_and_each_gets_its_own_answers(
    udp: Plane, make_server: MakeServer, make_client: MakeClient
) -> None:
    servers = [make_server(answer=lambda data, name=name: name + data) for name in (b"a", b"b")]
    udp.apply(*(server.endpoint for server in servers))
    clients = [make_client() for _ in range(40)]
    answered_by: list[set[bytes]] = [set() for _ in clients]
    for turn in range(3):
        for number, client in enumerate(clients):
            client.send(b"%d/%d" % (number, turn), reached(udp))
        for number, client in enumerate(clients):
            answer, _ = await client.receive()
            assert answer[1:] == b"%d/%d" % (number, turn)
            answered_by[number].add(answer[:1])
    assert all(len(names) == 1 for names in answered_by), "a client's datagrams went to several endpoints"
    assert [len(server.peers) for server in servers] == [20, 20]


async def test_a_client_that_hashes_or_has_affinity_keeps_its_endpoint_from_any_port(
    udp: Plane, make_server: MakeServer, make_client: MakeClient
) -> None:
    servers = [make_server() for _ in range(4)]
    endpoints = [server.endpoint for server in servers]
    for policy in ({"algorithm": Algorithm.SOURCE_HASH}, {"affinity_timeout": 60.0}):
        udp.apply(*endpoints, **policy)
        before = [len(server.got) for server in servers]
        for _ in range(8):
            await make_client().ask(b"x", reached(udp))
        got = [len(server.got) - count for server, count in zip(servers, before, strict=True)]
        assert sorted(got) == [0, 0, 0, 8], policy


async def test_several_answers_to_one_datagram_all_arrive(
    udp: Plane, make_server: MakeServer, make_client: MakeClient
) -> None:
    client = make_client()

    def answer_often(data: bytes) -> bytes:
        for peer in server.peers:
            for _ in range(99):
                server.send(data, peer)
        return data

    server = make_server(answer=answer_often)
    udp.apply(server.endpoint)
    client.send(b"x", reached(udp))
    for _ in range(100):
        await client.receive()


async def test_a_flood_leaves_the_loop_its_turn(udp: Plane, make_server: MakeServer, make_client: MakeClient) -> None:
    server, client = make_server(), make_client()
    udp.apply(server.endpoint)
    for _ in range(BATCH + 10):
        client.send(b"x", reached(udp))
    udp.plane._listeners["l"]._readable()  # type: ignore[union-attr]
    assert udp.stats()[server.endpoint.id]["sent"] == BATCH
    await wait_until(lambda: len(server.got) == BATCH + 10)


async def test_a_session_ends_when_nothing_moves_in_either_direction(
    udp: Plane, make_server: MakeServer, make_client: MakeClient
) -> None:
    now = 0.0
    udp.reactor.wheel = TimerWheel(lambda: now)
    server, client = make_server(), make_client()
    udp.apply(server.endpoint, udp_session_timeout=60.0)

    def pass_time(seconds: int) -> None:
        nonlocal now
        for _ in range(seconds):
            now += 1
            udp.reactor.wheel.advance(now)

    for data in (b"", b"x") * 4:  # an empty datagram is a sign of life, too
        assert await client.ask(data, reached(udp)) == data
        pass_time(50)
    (upstream_socket,) = server.peers
    for _ in range(4):  # as are datagrams from the server alone
        server.send(b"news", upstream_socket)
        assert (await client.receive())[0] == b"news"
        pass_time(50)
    assert udp.stats()["l"]["accepted"] == 1
    pass_time(30)
    stats = udp.stats()
    assert (stats["l"]["active"], stats[server.endpoint.id]["active"]) == (0, 0)
    assert udp.reactor.budget.held == 0
    await client.ask(b"again", reached(udp))
    assert udp.stats()["l"]["accepted"] == 2


async def test_a_removed_endpoint_loses_its_sessions_at_once(
    udp: Plane, make_server: MakeServer, make_client: MakeClient
) -> None:
    old, new = make_server(), make_server()
    client = make_client()
    udp.apply(old.endpoint)
    await client.ask(b"1", reached(udp))
    udp.apply(new.endpoint)
    assert udp.stats()["l"]["active"] == 0
    await client.ask(b"2", reached(udp))
    assert (old.got, new.got) == ([b"1"], [b"2"])


async def test_an_unhealthy_endpoint_loses_its_sessions_at_once(
    udp: Plane, make_server: MakeServer, make_client: MakeClient
) -> None:
    sick, well = make_server(priority=0), make_server(priority=1)
    client = make_client()
    udp.apply(sick.endpoint, well.endpoint)
    await client.ask(b"1", reached(udp))
    udp.plane._clusters["c"].set_health(sick.endpoint.id, False)
    await client.ask(b"2", reached(udp))
    assert (sick.got, well.got) == ([b"1"], [b"2"])


async def test_a_session_survives_what_does_not_concern_it(
    udp: Plane, make_server: MakeServer, make_client: MakeClient
) -> None:
    server, other = make_server(), make_server()
    client = make_client()
    udp.apply(server.endpoint)
    await client.ask(b"1", reached(udp))
    udp.apply(server.endpoint, other.endpoint, algorithm=Algorithm.RANDOM)
    udp.apply(Endpoint(address=server.address, weight=7), other.endpoint, udp_max_sessions=1)
    await client.ask(b"2", reached(udp))
    assert len(server.peers) == 1
    assert udp.stats()[server.endpoint.id]["active"] == 1
    assert udp.stats()[server.endpoint.id]["sent"] == 2


async def test_a_listener_that_moves_to_another_cluster_takes_its_clients_along(
    udp: Plane, make_server: MakeServer, make_client: MakeClient
) -> None:
    servers = {"blue": make_server(), "green": make_server()}
    client = make_client()
    for colour, server in servers.items():
        listener = Listener(
            name="l", address=reached(udp), transport=Transport.UDP, cluster=colour, service="default/s"
        )
        udp.apply_snapshot(
            Snapshot(
                version=colour,
                listeners=(listener,),
                clusters=tuple(Cluster(name=name, service="default/s", transport=Transport.UDP) for name in servers),
                assignments=tuple(Assignment(cluster=name, endpoints=(servers[name].endpoint,)) for name in servers),
            )
        )
        await client.ask(b"x", reached(udp))
        assert server.got == [b"x"]
    assert udp.stats()["l"]["active"] == 1


async def test_a_closed_listener_leaves_nothing_behind(
    udp: Plane, make_server: MakeServer, make_client: MakeClient
) -> None:
    server, client = make_server(), make_client()
    udp.apply(server.endpoint)
    await client.ask(b"x", reached(udp))
    udp.plane.stop_accepting()
    assert udp.reactor.budget.held == 0
    upstream = udp.plane._clusters["c"].upstreams[server.endpoint.id]
    assert (upstream.active, len(upstream._attached), udp.plane._clusters["c"].open) == (0, 0, 0)
