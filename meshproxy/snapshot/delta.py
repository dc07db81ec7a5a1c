"""What changed between two snapshots, as messages small enough to decode without a pause."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from meshproxy.snapshot.messages import (
    Begin,
    Commit,
    PutClusters,
    PutEndpoints,
    PutListeners,
    Remove,
    RemoveEndpoints,
    ToWorker,
)
from meshproxy.snapshot.model import Assignment, Snapshot

T = TypeVar("T")

PART = 200
"""Values in one message. A packet must fit a socket buffer (Linux' default: 208 KiB)."""
LISTENER_PART = 64
"""Listeners in one message: their descriptors go with it, and Linux takes 253 (`SCM_MAX_FD`)."""


def messages_between(old: Snapshot, new: Snapshot, *, reset: bool = False) -> Iterator[ToWorker]:
    """The messages that lead a worker from `old` to `new`; with `reset`, from anything to `new`.

    New things come before the removal of old ones, clusters before endpoints before
    listeners, so that at no step a reference dangles (xDS' make before break).
    """
    if reset:
        old = Snapshot(version="")
    yield Begin(new.version, new.settings, reset)
    yield from _puts_of_clusters(old, new)
    old_endpoints = {assignment.cluster: assignment for assignment in old.assignments}
    for assignment in new.assignments:
        yield from _endpoint_messages(old_endpoints.get(assignment.cluster), assignment)
    old_listeners = {listener.name: listener for listener in old.listeners}
    changed = (each for each in new.listeners if old_listeners.get(each.name) != each)
    for listeners in _parts(changed, LISTENER_PART):
        yield PutListeners(listeners)
    gone_listeners = _gone((each.name for each in old.listeners), (each.name for each in new.listeners))
    gone_clusters = _gone((each.name for each in old.clusters), (each.name for each in new.clusters))
    for names in _parts(gone_listeners, PART):
        yield Remove(listeners=names)
    for names in _parts(gone_clusters, PART):
        yield Remove(clusters=names)
    yield Commit(new.version)


def _puts_of_clusters(old: Snapshot, new: Snapshot) -> Iterator[ToWorker]:
    before = {cluster.name: cluster for cluster in old.clusters}
    changed = (cluster for cluster in new.clusters if before.get(cluster.name) != cluster)
    for clusters in _parts(changed, PART):
        yield PutClusters(clusters)


def _endpoint_messages(old: Assignment | None, new: Assignment) -> Iterator[ToWorker]:
    if old is not None and old.endpoints == new.endpoints:
        return
    before = {endpoint.address: endpoint for endpoint in old.endpoints} if old else {}
    after = {endpoint.address for endpoint in new.endpoints}
    changed = (endpoint for endpoint in new.endpoints if before.get(endpoint.address) != endpoint)
    for endpoints in _parts(changed, PART):
        yield PutEndpoints(new.cluster, endpoints)
    gone = (endpoint.id for address, endpoint in before.items() if address not in after)
    for ids in _parts(gone, PART):
        yield RemoveEndpoints(new.cluster, ids)


def _gone(before: Iterable[str], after: Iterable[str]) -> Sequence[str]:
    remaining = set(after)
    return [name for name in before if name not in remaining]


def _parts(values: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    iterator = iter(values)
    while part := tuple(islice(iterator, size)):
        yield part
