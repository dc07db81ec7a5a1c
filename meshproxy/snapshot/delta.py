"""What changed between two snapshots, as messages small enough to decode without a pause."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import msgspec

from meshproxy.snapshot.authorization import PARTS_OF_AUTHORIZATIONS
from meshproxy.snapshot.messages import (
    Begin,
    Commit,
    PutAuthorization,
    PutClusters,
    PutEndpoints,
    PutListeners,
    PutMaterials,
    PutRoutes,
    Remove,
    RemoveEndpoints,
    ToWorker,
    encode,
)
from meshproxy.snapshot.model import Assignment, Snapshot
from meshproxy.snapshot.routes import RouteTable, VirtualHost
from meshproxy.snapshot.tls import TLSMaterial

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

PART = 200
"""Values in one message. A packet must fit a socket buffer (Linux' default: 208 KiB)."""
LISTENER_PART = 64
"""Listeners in one message: their descriptors go with it, and Linux takes 253 (`SCM_MAX_FD`)."""
PART_BYTES = 64 * 1024
"""What a message of values of any size holds, encoded; a single value may be larger."""


def messages_between(old: Snapshot, new: Snapshot, *, reset: bool = False) -> Iterator[ToWorker]:
    """The messages that lead a worker from `old` to `new`; with `reset`, from anything to `new`.

    New things come before the removal of old ones, clusters before endpoints before routes before
    listeners, so that at no step a reference dangles (xDS' make before break).
    """
    if reset:
        old = Snapshot(version="")
    yield Begin(new.version, new.settings, reset)
    yield from _puts_of_clusters(old, new)
    old_endpoints = {assignment.cluster: assignment for assignment in old.assignments}
    for assignment in new.assignments:
        yield from _endpoint_messages(old_endpoints.get(assignment.cluster), assignment)
    yield from _puts_of_authorizations(old, new)
    yield from _puts_of_routes(old, new)
    old_listeners = {listener.name: listener for listener in old.listeners}
    changed = (each for each in new.listeners if old_listeners.get(each.name) != each)
    for listeners in _sized_parts(changed, LISTENER_PART):
        yield PutListeners(listeners)
    yield from _removals(old, new)
    yield Commit(new.version)


def material_messages(materials: Iterable[TLSMaterial]) -> Iterator[ToWorker]:
    """The messages that give a worker `materials`; they go with no configuration."""
    for part in _sized_parts(materials, PART):
        yield PutMaterials(part)


def _puts_of_clusters(old: Snapshot, new: Snapshot) -> Iterator[ToWorker]:
    before = {cluster.name: cluster for cluster in old.clusters}
    changed = (cluster for cluster in new.clusters if before.get(cluster.name) != cluster)
    for clusters in _sized_parts(changed, PART):
        yield PutClusters(clusters)


def _puts_of_routes(old: Snapshot, new: Snapshot) -> Iterator[ToWorker]:
    before = {table.name: table for table in old.route_tables}
    for table in new.route_tables:
        if before.get(table.name) != table:
            yield from _put_table(table)


def _puts_of_authorizations(old: Snapshot, new: Snapshot) -> Iterator[ToWorker]:
    before = {each.name: each for each in old.authorizations}
    for authorization in new.authorizations:
        if before.get(authorization.name) != authorization:
            bare = msgspec.structs.replace(authorization, **dict.fromkeys(PARTS_OF_AUTHORIZATIONS, ()))
            yield PutAuthorization(bare)
            for field in PARTS_OF_AUTHORIZATIONS:
                for rules in _sized_parts(getattr(authorization, field), PART):
                    yield PutAuthorization(msgspec.structs.replace(bare, **{field: rules}))


def _put_table(table: RouteTable) -> Iterator[ToWorker]:
    """The whole table; a virtual host that is larger than a message comes in several, by the same name."""
    slices = (each for host in table.virtual_hosts for each in _slices(host))
    parts = _sized_parts(slices, PART)
    yield PutRoutes(table.name, next(parts, ()))
    for hosts in parts:
        yield PutRoutes(table.name, hosts)


def _slices(host: VirtualHost) -> Iterator[VirtualHost]:
    if not host.rules:
        yield host
    for rules in _sized_parts(host.rules, PART):
        yield msgspec.structs.replace(host, rules=rules)


def _removals(old: Snapshot, new: Snapshot) -> Iterator[ToWorker]:
    gone_listeners = _gone((each.name for each in old.listeners), (each.name for each in new.listeners))
    gone_tables = _gone((each.name for each in old.route_tables), (each.name for each in new.route_tables))
    gone_authorizations = _gone((each.name for each in old.authorizations), (each.name for each in new.authorizations))
    gone_clusters = _gone((each.name for each in old.clusters), (each.name for each in new.clusters))
    for names in _parts(gone_listeners, PART):
        yield Remove(listeners=names)
    for names in _parts(gone_tables, PART):
        yield Remove(route_tables=names)
    for names in _parts(gone_authorizations, PART):
        yield Remove(authorizations=names)
    for names in _parts(gone_clusters, PART):
        yield Remove(clusters=names)


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


def _sized_parts(values: Iterable[S], count: int) -> Iterator[tuple[S, ...]]:
    """Parts of at most `count` values and `PART_BYTES`."""
    part: list[S] = []
    size = 0
    for value in values:
        length = len(encode(value))
        if part and (len(part) == count or size + length > PART_BYTES):
            yield tuple(part)
            part, size = [], 0
        part.append(value)
        size += length
    if part:
        yield tuple(part)
