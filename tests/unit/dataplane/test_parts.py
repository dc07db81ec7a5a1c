"""The data plane's small parts: affinity, staging, the descriptor budget, the reactor."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.errors import SnapshotRejected
from meshproxy.dataplane import affinity
from meshproxy.dataplane.affinity import AffinityTable
from meshproxy.dataplane.descriptors import DescriptorBudget
from meshproxy.dataplane.reactor import Reactor
from meshproxy.dataplane.staging import Staged
from meshproxy.runtime.affinity_book import AffinityBook
from meshproxy.snapshot.messages import Begin, PutClusters, PutEndpoints, PutListeners
from meshproxy.snapshot.model import Cluster, Endpoint, Listener, ProxySettings, Transport
from tests.support.dataplane import wait_until


class TestAffinity:
    def test_a_binding_lasts_its_timeout_from_the_last_use(self) -> None:
        table = AffinityTable("c", 10.0)
        table.bind("client", "a", now=0)
        assert table.endpoint_of("client", now=9.9) == "a"
        table.bind("client", "a", now=9)
        assert table.endpoint_of("client", now=18) == "a"
        assert table.endpoint_of("client", now=19) is None
        table.forget_expired(now=19)
        assert len(table) == 0

    def test_others_are_told_once_and_again_before_they_would_forget(self) -> None:
        table = AffinityTable("c", 80.0)
        table.bind("client", "a", now=0)
        assert list(table.take_told(now=1)) == [("c", "client", "a", 79.0)]
        table.bind("client", "a", now=2)
        assert list(table.take_told(now=2)) == []
        table.bind("client", "a", now=11)
        assert list(table.take_told(now=11)) == [("c", "client", "a", 80.0)]
        table.bind("client", "b", now=12)
        assert list(table.take_told(now=12)) == [("c", "client", "b", 80.0)]

    def test_workers_that_disagree_agree_once_they_have_told_each_other(self) -> None:
        one, two = AffinityTable("c", 10.0), AffinityTable("c", 10.0)
        one.bind("client", "b", now=0)
        two.bind("client", "a", now=0)
        for _, client, endpoint, seconds_left in one.take_told(now=0):
            two.learn(client, endpoint, seconds_left, now=1)
        for _, client, endpoint, seconds_left in two.take_told(now=0):
            one.learn(client, endpoint, seconds_left, now=1)
        assert one.endpoint_of("client", now=2) == two.endpoint_of("client", now=2) == "a"

    def test_what_others_say_counts(self) -> None:
        table = AffinityTable("c", 10.0)
        table.learn("client", "a", 5.0, now=0)
        assert table.endpoint_of("client", now=1) == "a"
        assert list(table.take_told(now=1)) == []
        assert table.endpoint_of("client", now=5) is None
        table.learn("client", "b", 5.0, now=6)
        assert table.endpoint_of("client", now=7) == "b"

    def test_the_least_recently_used_is_forgotten_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(affinity, "MAX_CLIENTS", 2)
        table = AffinityTable("c", 10.0)
        for client in ("one", "two", "one", "three"):
            table.bind(client, "a", now=0)
        assert [table.endpoint_of(client, now=1) for client in ("one", "two", "three")] == ["a", None, "a"]

    def test_the_supervisor_remembers_for_new_workers(self) -> None:
        book = AffinityBook()
        book.learn([("c", "one", "a", 10.0), ("c", "two", "b", 2.0)], now=0)
        book.learn([("c", "one", "b", 10.0)], now=1)
        assert list(book.entries(now=5)) == [(("c", "one", "b", 6.0),)]


def make_listener(cluster: str = "c") -> Listener:
    return Listener(
        name="l", address=SocketAddress("127.0.0.1", 1), transport=Transport.TCP, cluster=cluster, service="default/s"
    )


def make_staged(*, reset: bool = False) -> Staged:
    return Staged(Begin("v", ProxySettings(), reset))


class TestStaging:
    def test_dangling_references_are_refused(self) -> None:
        staged = make_staged()
        staged.add(PutEndpoints("gone", ()), [])
        with socket.socket() as sock:
            staged.add(PutListeners((make_listener("gone"),)), [sock])
            with pytest.raises(SnapshotRejected) as rejected:
                staged.check({"c"})
            staged.discard()
            assert sock.fileno() == -1
        assert len(rejected.value.reasons) == 2

    def test_with_a_reset_only_what_comes_along_is_known(self) -> None:
        staged = make_staged(reset=True)
        staged.add(PutEndpoints("c", ()), [])
        with pytest.raises(SnapshotRejected):
            staged.check({"c"})
        staged.add(PutClusters((Cluster(name="c", service="default/s"),)), [])
        staged.check(set())
        assert staged.removed_clusters(["c", "old"]) == ["old"]
        assert staged.removed_listeners(["l"]) == ["l"]

    def test_a_reset_removes_endpoints_that_are_not_mentioned(self) -> None:
        staged = make_staged(reset=True)
        staged.add(PutClusters((Cluster(name="c", service="default/s"), Cluster(name="d", service="default/s"))), [])
        kept = Endpoint(address=SocketAddress("10.0.0.1", 1))
        staged.add(PutEndpoints("c", (kept,)), [])
        known = {"c": ("10.0.0.1:1", "10.0.0.2:1"), "d": ("10.0.0.3:1",)}
        changes = dict(staged.endpoint_changes(known))
        assert changes == {"c": ((kept,), frozenset({"10.0.0.2:1"})), "d": ((), frozenset({"10.0.0.3:1"}))}

    def test_listeners_without_their_sockets_are_refused(self) -> None:
        with pytest.raises(SnapshotRejected, match="1 listeners came with 0 sockets"):
            make_staged().add(PutListeners((make_listener(),)), [])


def test_the_budget_calls_who_waits_once() -> None:
    budget = DescriptorBudget(4)
    budget.take(4)
    assert not budget.has_room(1)
    called: list[str] = []
    budget.when_room(lambda: called.append("a"))
    budget.give_back(2)
    budget.give_back(1)
    assert called == ["a"]
    assert (budget.held, budget.has_room(3)) == (1, True)


async def test_what_a_reset_peer_had_sent_is_read_to_its_end() -> None:
    """The reason for an epoll of our own: uvloop's watch ends at the first error."""
    reactor = Reactor(asyncio.get_running_loop(), 4096, DescriptorBudget(10))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with socket.socket() as listening, ours, theirs:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        peer = socket.create_connection(listening.getsockname())
        accepted, _ = listening.accept()
        accepted.setblocking(False)
        sent = b"x" * 40_000
        peer.sendall(sent)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        received = bytearray()
        ended: list[str] = []

        def readable() -> None:
            try:
                data = accepted.recv(4096)
            except ConnectionResetError:
                ended.append("reset")
                reactor.remove_reader(accepted)
                return
            received.extend(data)
            if len(received) == 4096:
                peer.close()

        reactor.add_reader(accepted, readable)
        await wait_until(lambda: bool(ended))
        assert ended == ["reset"]
        accepted.close()
    reactor.close()


async def test_a_callback_that_fails_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    reactor = Reactor(asyncio.get_running_loop(), 4096, DescriptorBudget(10))
    first, second = socket.socketpair()
    called: list[str] = []

    def fail() -> None:
        reactor.remove_writer(first)
        raise RuntimeError("mine")

    def work() -> None:
        reactor.remove_writer(second)
        called.append("second")

    with first, second:
        reactor.add_writer(first, fail)
        reactor.add_writer(second, work)
        await wait_until(lambda: called == ["second"])
    assert "a callback failed" in caplog.text
    reactor.close()
