"""Deltas lead from any snapshot to any other, as a worker would apply them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.errors import SnapshotRejected
from meshproxy.snapshot.consistency import check_consistency
from meshproxy.snapshot.delta import PART, messages_between
from meshproxy.snapshot.messages import (
    Begin,
    Commit,
    PutClusters,
    PutEndpoints,
    PutListeners,
    Remove,
    RemoveEndpoints,
    decode_to_worker,
    encode,
)
from meshproxy.snapshot.model import Assignment, Cluster, Endpoint, Listener, Snapshot, Transport


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
    listeners = tuple(
        Listener(
            name=f"l{cluster.name}",
            address=SocketAddress("127.0.0.1", 80),
            transport=Transport.TCP,
            cluster=cluster.name,
            service="default/s",
        )
        for cluster in clusters
        if draw(st.booleans())
    )
    return Snapshot(version="v", clusters=clusters, assignments=assignments, listeners=listeners)


class Model:
    """What a worker knows."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.clusters = {each.name: each for each in snapshot.clusters}
        self.listeners = {each.name: each for each in snapshot.listeners}
        self.endpoints = {each.cluster: {one.id: one for one in each.endpoints} for each in snapshot.assignments}

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
                    self.listeners[listener.name] = listener
            case Remove(gone_listeners, gone_clusters):
                for name in gone_listeners:
                    del self.listeners[name]
                for name in gone_clusters:
                    assert all(each.cluster != name for each in self.listeners.values())
                    del self.clusters[name], self.endpoints[name]


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
