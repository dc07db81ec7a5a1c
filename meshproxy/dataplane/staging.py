"""A configuration on its way in: collected from `Begin` to `Commit`, checked, then applied whole."""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable, Iterator, Mapping

from meshproxy.base.errors import SnapshotRejected
from meshproxy.snapshot import model
from meshproxy.snapshot.messages import (
    Begin,
    PutClusters,
    PutEndpoints,
    PutListeners,
    Remove,
    RemoveEndpoints,
)

Part = PutClusters | PutEndpoints | PutListeners | Remove | RemoveEndpoints


class Staged:
    """What changes; with `begin.reset`, everything there is to be.

    Owns the sockets that came with it until they are applied.
    """

    def __init__(self, begin: Begin) -> None:
        self.begin = begin
        self.clusters: dict[str, model.Cluster] = {}
        self.listeners: dict[str, tuple[model.Listener, socket.socket]] = {}
        self._endpoints: dict[str, dict[str, model.Endpoint]] = {}
        self._gone_endpoints: dict[str, set[str]] = {}
        self._gone_listeners: set[str] = set()
        self._gone_clusters: set[str] = set()

    def add(self, part: Part, sockets: list[socket.socket]) -> None:
        """Take one message and the descriptors that came with it."""
        match part:
            case PutClusters(clusters):
                self.clusters.update((cluster.name, cluster) for cluster in clusters)
            case PutEndpoints(cluster, endpoints):
                self._endpoints.setdefault(cluster, {}).update((each.id, each) for each in endpoints)
            case RemoveEndpoints(cluster, ids):
                self._gone_endpoints.setdefault(cluster, set()).update(ids)
            case PutListeners(listeners):
                self._add_listeners(listeners, sockets)
            case Remove(gone_listeners, gone_clusters):
                self._gone_listeners.update(gone_listeners)
                self._gone_clusters.update(gone_clusters)

    def _add_listeners(self, listeners: tuple[model.Listener, ...], sockets: list[socket.socket]) -> None:
        if len(listeners) != len(sockets):
            for each in sockets:
                each.close()
            counts = f"{len(listeners)} listeners came with {len(sockets)} sockets"
            raise SnapshotRejected(self.begin.version, [counts])
        for listener, sock in zip(listeners, sockets, strict=True):
            self.listeners[listener.name] = (listener, sock)

    def check(self, known_clusters: Collection[str]) -> None:
        """Raise `SnapshotRejected` where a reference would dangle once this is applied to `known_clusters`."""
        known = set() if self.begin.reset else set(known_clusters) - self._gone_clusters
        known.update(self.clusters)
        reasons = [
            f"listener {listener.name} refers to cluster {listener.cluster}, which does not exist"
            for listener, _ in self.listeners.values()
            if listener.cluster not in known
        ]
        reasons += [
            f"endpoints of cluster {cluster}, which does not exist"
            for cluster in self._endpoints
            if cluster not in known
        ]
        if reasons:
            raise SnapshotRejected(self.begin.version, reasons)

    def discard(self) -> None:
        """Close what came with a configuration that is not applied."""
        for _, sock in self.listeners.values():
            sock.close()

    def endpoint_changes(
        self, known: Mapping[str, Collection[str]]
    ) -> Iterator[tuple[str, tuple[tuple[model.Endpoint, ...], frozenset[str]]]]:
        """For each cluster that changes: (its name, (endpoints to put, ids to remove)).

        `known` holds the endpoint ids in force by cluster, which a reset is compared with.
        """
        changed = set(self._endpoints) | set(self._gone_endpoints)
        if self.begin.reset:
            changed |= set(self.clusters) & set(known)
        for cluster in sorted(changed & (set(known) | set(self.clusters))):
            put = self._endpoints.get(cluster, {})
            removed = self._gone_endpoints.get(cluster, set())
            if self.begin.reset:
                removed = set(known.get(cluster, ())) - set(put)
            yield cluster, (tuple(put.values()), frozenset(removed))

    def removed_listeners(self, known: Iterable[str]) -> list[str]:
        """Those of `known` that go."""
        return self._removed(known, self._gone_listeners, self.listeners)

    def removed_clusters(self, known: Iterable[str]) -> list[str]:
        """Those of `known` that go."""
        return self._removed(known, self._gone_clusters, self.clusters)

    def _removed(self, known: Iterable[str], gone: Collection[str], put: Collection[str]) -> list[str]:
        if self.begin.reset:
            return [name for name in known if name not in put]
        return [name for name in known if name in gone]
