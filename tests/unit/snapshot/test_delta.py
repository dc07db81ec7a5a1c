"""Deltas lead from any snapshot to any other, as a worker would apply them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.errors import SnapshotRejected
from meshproxy.dataplane.staging import Staged
from meshproxy.snapshot.authorization import Authorization, AuthorizationRule, Intention
from meshproxy.snapshot.consistency import check_consistency
from meshproxy.snapshot.delta import PART, PART_BYTES, messages_between
from meshproxy.snapshot.messages import (
    Begin,
    Commit,
    PutAuthorization,
    PutClusters,
    PutEndpoints,
    PutListeners,
    PutRoutes,
    Remove,
    RemoveEndpoints,
    decode_to_worker,
    encode,
)
from meshproxy.snapshot.model import EMPTY, Assignment, Cluster, Endpoint, Listener, Snapshot, Transport
from meshproxy.snapshot.routes import Backend, Filters, Mirror, RouteMatch, RouteTable, Rule, VirtualHost


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    clusters = tuple(
        Cluster(name=name, service="default/s", connect_timeout=draw(st.sampled_from((1.0, 2.0))))
        for name in sorted(draw(st.sets(st.sampled_from("abcd"))))
    )
    assignments = tuple(
        Assignment(
            cluster=cluster.name,
            endpoints=tuple(
                Endpoint(address=SocketAddress("10.0.0.1", port), weight=draw(st.sampled_from((1, 2))))
                for port in sorted(draw(st.sets(st.integers(1, 6))))
            ),
        )
        for cluster in clusters
    )
    names = tuple(cluster.name for cluster in clusters)
    tables = tuple(draw(route_tables(name, names)) for name in sorted(draw(st.sets(st.sampled_from("xyz")))))
    listeners = tuple(
        Listener(
            name=f"l{cluster.name}",
            address=SocketAddress("127.0.0.1", 80),
            transport=Transport.TCP,
            cluster=cluster.name,
            routes=draw(st.sampled_from(("", *(table.name for table in tables)))),
            service="default/s",
        )
        for cluster in clusters
        if draw(st.booleans())
    )
    return Snapshot(version="v", clusters=clusters, assignments=assignments, route_tables=tables, listeners=listeners)


@st.composite
def route_tables(draw: st.DrawFn, name: str, clusters: tuple[str, ...]) -> RouteTable:
    hosts = tuple(
        VirtualHost(
            name=host,
            hostname=host,
            rules=tuple(
                Rule(
                    name=f"{host}/{number}",
                    route="HTTPRoute/default/r",
                    backends=(Backend(cluster=draw(st.sampled_from(("", *clusters)))),),
                )
                for number in range(draw(st.integers(0, 3)))
            ),
        )
        for host in sorted(draw(st.sets(st.sampled_from(("", "a.example", "*.example")))))
    )
    return RouteTable(name=name, virtual_hosts=hosts)


class Model:
    """What a worker knows."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.clusters = {each.name: each for each in snapshot.clusters}
        self.listeners = {each.name: each for each in snapshot.listeners}
        self.endpoints = {each.cluster: {one.id: one for one in each.endpoints} for each in snapshot.assignments}
        self.tables = {each.name: each for each in snapshot.route_tables}
        self._begun: set[str] = set()

    def apply(self, message: object) -> None:  # noqa: C901 a case a message
        match message:
            case PutClusters(clusters):
                for cluster in clusters:
                    self.clusters[cluster.name] = cluster
                    self.endpoints.setdefault(cluster.name, {})
            case PutEndpoints(name, endpoints):
                assert name in self.clusters, "endpoints of a cluster that is not there"
                self.endpoints[name].update((each.id, each) for each in endpoints)
            case RemoveEndpoints(name, ids):
                for each in ids:
                    del self.endpoints[name][each]
            case PutListeners(listeners):
                for listener in listeners:
                    assert listener.cluster in self.clusters, "a listener of a cluster that is not there"
                    assert not listener.routes or listener.routes in self.tables
                    self.listeners[listener.name] = listener
            case PutRoutes(table, hosts):
                self._put_routes(table, hosts)
            case Remove(gone_listeners, gone_clusters, gone_tables):
                for name in gone_listeners:
                    del self.listeners[name]
                for name in gone_clusters:
                    assert all(each.cluster != name for each in self.listeners.values())
                    assert not any(name in clusters_of(each) for each in self.tables.values())
                    del self.clusters[name], self.endpoints[name]
                for name in gone_tables:
                    assert all(each.routes != name for each in self.listeners.values())
                    del self.tables[name]

    def _put_routes(self, table: str, hosts: tuple[VirtualHost, ...]) -> None:
        if table not in self._begun:
            self._begun.add(table)
            self.tables[table] = RouteTable(name=table)
        known = {host.name: host for host in self.tables[table].virtual_hosts}
        for host in hosts:
            rules = known[host.name].rules if host.name in known else ()
            known[host.name] = VirtualHost(name=host.name, hostname=host.hostname, rules=(*rules, *host.rules))
        self.tables[table] = RouteTable(name=table, virtual_hosts=tuple(known.values()))
        assert clusters_of(self.tables[table]) <= set(self.clusters), "routes to a cluster that is not there"


def clusters_of(table: RouteTable) -> set[str]:
    backends = (each for host in table.virtual_hosts for rule in host.rules for each in rule.backends)
    return {each.cluster for each in backends} - {""}


@settings(max_examples=200)
@given(snapshots(), snapshots())
def test_the_messages_lead_from_one_to_the_other(old: Snapshot, new: Snapshot) -> None:
    model = Model(old)
    messages = [decode_to_worker(encode(message)) for message in messages_between(old, new)]
    assert isinstance(messages[0], Begin)
    assert isinstance(messages[-1], Commit)
    for message in messages:
        model.apply(message)
    wanted = Model(new)
    assert (model.clusters, model.listeners, model.endpoints) == (wanted.clusters, wanted.listeners, wanted.endpoints)
    assert model.tables == wanted.tables


@given(snapshots())
def test_no_change_is_no_message(snapshot: Snapshot) -> None:
    assert [type(each) for each in messages_between(snapshot, snapshot)] == [Begin, Commit]


def test_many_endpoints_come_in_parts() -> None:
    endpoints = tuple(Endpoint(address=SocketAddress("10.0.0.1", port)) for port in range(1, 3 * PART))
    new = Snapshot(
        version="v",
        clusters=(Cluster(name="c", service="default/s"),),
        assignments=(Assignment(cluster="c", endpoints=endpoints),),
    )
    parts = [each for each in messages_between(Snapshot(version=""), new) if isinstance(each, PutEndpoints)]
    assert [len(part.endpoints) for part in parts] == [PART, PART, PART - 1]
    assert max(len(encode(part)) for part in parts) < 100_000


def test_inconsistencies_are_all_named() -> None:
    listener = Listener(
        name="l", address=SocketAddress("127.0.0.1", 80), transport=Transport.TCP, cluster="gone", service="default/s"
    )
    broken = Snapshot(
        version="v",
        listeners=(listener, listener),
        clusters=(Cluster(name="c", service="default/s"),),
        assignments=(Assignment(cluster="other"),),
    )
    try:
        check_consistency(broken)
    except SnapshotRejected as rejected:
        reasons = "\n".join(rejected.reasons)
    assert "listener l occurs 2 times" in reasons
    assert "bound address 127.0.0.1:80/TCP occurs 2 times" in reasons
    assert "refers to cluster gone, which does not exist" in reasons
    assert "endpoints are assigned to cluster other" in reasons
    assert "cluster c has no assignment" in reasons


def routed_to(*clusters: str, mirror: str = "") -> RouteTable:
    filters = Filters(mirrors=(Mirror(cluster=mirror),)) if mirror else Filters()
    rules = tuple(
        Rule(name="same", route="HTTPRoute/default/r", backends=(Backend(cluster=each, filters=filters),))
        for each in clusters
    )
    return RouteTable(name="t", virtual_hosts=(VirtualHost(name="h", rules=rules), VirtualHost(name="h")))


def test_inconsistent_routes_are_all_named() -> None:
    listener = Listener(name="l", address=SocketAddress("127.0.0.1", 80), transport=Transport.TCP, service="s")
    broken = Snapshot(
        version="v",
        listeners=(listener, msgspec.structs.replace(listener, name="m", routes="missing")),
        route_tables=(routed_to("gone", "", mirror="far"), routed_to()),
    )
    with pytest.raises(SnapshotRejected) as rejected:
        check_consistency(broken)
    reasons = "\n".join(rejected.value.reasons)
    assert "listener l has neither a cluster nor routes" in reasons
    assert "listener m refers to route table missing, which does not exist" in reasons
    assert "route table t occurs 2 times" in reasons
    assert "route table t refers to cluster far, which does not exist" in reasons
    assert "route table t refers to cluster gone, which does not exist" in reasons
    assert "virtual host of route table t h occurs 2 times" in reasons
    assert "rule of route table t same occurs 2 times" in reasons


def make_large_table(rules: int) -> RouteTable:
    matches = tuple(RouteMatch(path=f"/a/rather/long/path/{number}") for number in range(8))
    large = VirtualHost(
        name="large",
        rules=tuple(
            Rule(
                name=f"default/route/{number}",
                route="HTTPRoute/default/route",
                hostnames=(f"host-{number}.example.com",),
                matches=matches,
                backends=(Backend(cluster="c"),),
            )
            for number in range(rules)
        ),
    )
    small = VirtualHost(name="small", hostname="small.example", rules=(Rule(name="x", route="HTTPRoute/default/x"),))
    return RouteTable(name="t", virtual_hosts=(large, VirtualHost(name="empty", hostname="*.empty.example"), small))


def test_a_large_table_comes_in_packets_that_fit() -> None:
    new = Snapshot(
        version="v",
        clusters=(Cluster(name="c", service="default/s"),),
        assignments=(Assignment(cluster="c"),),
        route_tables=(make_large_table(1000), RouteTable(name="without-hosts")),
    )
    packets = [encode(message) for message in messages_between(Snapshot(version=""), new)]
    assert max(map(len, packets)) < 100_000
    messages = [decode_to_worker(packet) for packet in packets]
    assert sum(isinstance(message, PutRoutes) for message in messages) > 5
    model = Model(Snapshot(version=""))
    for message in messages:
        model.apply(message)
    assert model.tables == Model(new).tables


def test_an_authorization_of_any_size_travels_in_parts() -> None:
    rules = tuple(AuthorizationRule(policy=str(n)) for n in range(2 * PART + 1))
    intentions = tuple(Intention(destination="web", source=f"default/{n}", policy=str(n)) for n in range(3 * PART))
    authorization = Authorization(name="a", deny=rules, allow=rules[:1], intentions=intentions, restricted=True)
    staged = Staged(Begin("v", EMPTY.settings, False))
    for message in messages_between(EMPTY, Snapshot(version="v", authorizations=(authorization,))):
        if isinstance(message, PutAuthorization):
            assert len(encode(message)) < 2 * PART_BYTES
            staged.add(message, [])
    assert staged.authorizations == {"a": authorization}
