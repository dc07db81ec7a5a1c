"""A configuration is put together from its messages, and checked before anything of it is applied."""

from __future__ import annotations

import socket

import pytest

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.errors import SnapshotRejected
from meshproxy.dataplane.staging import Staged
from meshproxy.snapshot.delta import messages_between
from meshproxy.snapshot.messages import Begin, Commit, PutListeners, decode_to_worker, encode
from meshproxy.snapshot.model import EMPTY, Assignment, Cluster, Listener, ProxySettings, Snapshot, Transport
from meshproxy.snapshot.routes import Backend, RouteTable, Rule, VirtualHost

CLUSTER = Cluster(name="c", service="default/s")


def make_table(name: str, rules: int = 1, cluster: str = "c") -> RouteTable:
    route = "HTTPRoute/default/r"
    many = tuple(
        Rule(name=f"{name}/{number}", route=route, backends=(Backend(cluster=cluster, label="x" * 200),))
        for number in range(rules)
    )
    hosts = (VirtualHost(name="a", hostname="a.example", rules=many), VirtualHost(name="b"))
    return RouteTable(name=name, virtual_hosts=hosts)


def make_snapshot(*tables: RouteTable) -> Snapshot:
    return Snapshot(
        version="v", clusters=(CLUSTER,), assignments=(Assignment(cluster="c"),), route_tables=tuple(tables)
    )


def stage(old: Snapshot, new: Snapshot, *, reset: bool = False) -> Staged:
    """What a worker has at `Commit`."""
    begin, *parts = (decode_to_worker(encode(each)) for each in messages_between(old, new, reset=reset))
    assert isinstance(begin, Begin)
    staged = Staged(begin)
    for part in parts:
        if not isinstance(part, Commit):
            staged.add(part, [])
    return staged


def begin(*, reset: bool = False) -> Staged:
    return Staged(Begin("v", ProxySettings(), reset))


def test_tables_are_put_together_from_their_parts() -> None:
    tables = (make_table("large", rules=1000), make_table("small"), RouteTable(name="without-hosts"))
    staged = stage(EMPTY, make_snapshot(*tables))
    staged.check((), ())
    assert tuple(staged.route_tables.values()) == tables


def test_only_changed_tables_come_and_only_gone_ones_go() -> None:
    old = make_snapshot(make_table("changed"), make_table("gone"), make_table("same"))
    new = make_snapshot(make_table("changed", rules=2), make_table("same"))
    staged = stage(old, new)
    staged.check(("c",), ("changed", "gone", "same"))
    assert dict(staged.route_tables) == {"changed": make_table("changed", rules=2)}
    assert staged.removed_route_tables(("changed", "gone", "same")) == ["gone"]


def test_a_reset_removes_what_it_does_not_mention() -> None:
    staged = stage(EMPTY, make_snapshot(make_table("kept")), reset=True)
    assert staged.removed_route_tables(("kept", "other")) == ["other"]


@pytest.mark.parametrize(("known", "problem"), [((), "route table t refers to cluster c"), (("c",), "")])
def test_routes_to_an_unknown_cluster_are_refused(known: tuple[str, ...], problem: str) -> None:
    old = make_snapshot()
    staged = stage(old, make_snapshot(make_table("t")))
    if not problem:
        staged.check(known)
        return
    with pytest.raises(SnapshotRejected, match=problem):
        staged.check(known)


def routed_listener(routes: str) -> Listener:
    address = SocketAddress("127.0.0.1", 80)
    return Listener(name="l", address=address, transport=Transport.TCP, routes=routes, service="Gateway/default/g")


@pytest.mark.parametrize(
    ("routes", "known", "problem"),
    [
        ("t", ("t",), ""),
        ("t", ("other",), "listener l refers to route table t, which does not exist"),
        ("", ("t",), "listener l has neither a cluster nor routes"),
    ],
)
def test_a_listener_needs_a_table_that_is_there(routes: str, known: tuple[str, ...], problem: str) -> None:
    staged = begin()
    with socket.socket() as sock:
        staged.add(PutListeners((routed_listener(routes),)), [sock])
        if not problem:
            staged.check((), known)
            return
        with pytest.raises(SnapshotRejected, match=problem):
            staged.check((), known)


def test_a_table_that_goes_is_not_there() -> None:
    staged = stage(make_snapshot(make_table("t")), make_snapshot())
    with socket.socket() as sock:
        staged.add(PutListeners((routed_listener("t"),)), [sock])
        with pytest.raises(SnapshotRejected, match="route table t"):
            staged.check(("c",), ("t",))
