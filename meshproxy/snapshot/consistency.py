"""Proves a snapshot whole before anyone acts on it (as go-control-plane's `Snapshot.Consistent`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from meshproxy.base.errors import SnapshotRejected
from meshproxy.snapshot.model import FilterChain, Listener, Snapshot
from meshproxy.snapshot.routes import Filters, RouteTable


def check_consistency(snapshot: Snapshot) -> None:
    """Raise `SnapshotRejected` with every dangling or doubled reference in `snapshot`."""
    reasons = list(_inconsistencies(snapshot))
    if reasons:
        raise SnapshotRejected(snapshot.version, reasons)


def _inconsistencies(snapshot: Snapshot) -> Iterator[str]:
    clusters = {cluster.name for cluster in snapshot.clusters}
    yield from _doubled("listener", (each.name for each in snapshot.listeners))
    yield from _doubled("cluster", (each.name for each in snapshot.clusters))
    yield from _doubled("assignment", (each.cluster for each in snapshot.assignments))
    yield from _doubled("bound address", (f"{each.address}/{each.transport}" for each in snapshot.listeners))
    yield from _doubled("route table", (each.name for each in snapshot.route_tables))
    tables = {table.name for table in snapshot.route_tables}
    yield from _doubled("authorization", (each.name for each in snapshot.authorizations))
    authorizations = {each.name for each in snapshot.authorizations}
    for listener in snapshot.listeners:
        yield from dangling_of_listener(listener, clusters, tables, authorizations)
    for table in snapshot.route_tables:
        yield from _doubled_in_table(table)
        yield from dangling_of_table(table, clusters, authorizations)
    assigned = {assignment.cluster for assignment in snapshot.assignments}
    for cluster in sorted(assigned - clusters):
        yield f"endpoints are assigned to cluster {cluster}, which does not exist"
    for cluster in sorted(clusters - assigned):
        yield f"cluster {cluster} has no assignment"
    for assignment in snapshot.assignments:
        what = f"endpoint of cluster {assignment.cluster}"
        yield from _doubled(what, (each.id for each in assignment.endpoints))


def dangling_of_listener(
    listener: Listener, clusters: Collection[str], tables: Collection[str], authorizations: Collection[str]
) -> Iterator[str]:
    """What `listener` refers to and is not there."""
    yield from _dangling(f"listener {listener.name}", listener, clusters, tables, authorizations)
    if not listener.cluster and not listener.routes and (listener.permits_plain or not listener.chains):
        yield f"listener {listener.name} has neither a cluster nor routes"
    for chain in listener.chains:
        of = f"filter chain {chain.name} of listener {listener.name}"
        yield from _dangling(of, chain, clusters, tables, authorizations)
        for backend in chain.backends:
            if backend.cluster and backend.cluster not in clusters:
                yield f"{of} refers to cluster {backend.cluster}, which does not exist"
    yield from _doubled(f"filter chain of listener {listener.name}", (each.name for each in listener.chains))
    names = (name or "(any)" for chain in listener.chains for name in chain.server_names)
    yield from _doubled(f"server name of listener {listener.name}", names)


def _dangling(
    what: str,
    goal: Listener | FilterChain,
    clusters: Collection[str],
    tables: Collection[str],
    authorizations: Collection[str],
) -> Iterator[str]:
    if goal.cluster and goal.cluster not in clusters:
        yield f"{what} refers to cluster {goal.cluster}, which does not exist"
    if goal.routes and goal.routes not in tables:
        yield f"{what} refers to route table {goal.routes}, which does not exist"
    if goal.authorization and goal.authorization not in authorizations:
        yield f"{what} refers to authorization {goal.authorization}, which does not exist"


def dangling_of_table(table: RouteTable, clusters: Collection[str], authorizations: Collection[str]) -> Iterator[str]:
    """The clusters and authorizations that `table` refers to and that are not there."""
    for cluster in sorted(_clusters_of(table).difference(clusters)):
        yield f"route table {table.name} refers to cluster {cluster}, which does not exist"
    wanted = {rule.authorization for host in table.virtual_hosts for rule in host.rules if rule.authorization}
    for authorization in sorted(wanted.difference(authorizations)):
        yield f"route table {table.name} refers to authorization {authorization}, which does not exist"


def _clusters_of(table: RouteTable) -> set[str]:
    found: set[str] = set()
    for host in table.virtual_hosts:
        for rule in host.rules:
            found.update(_mirrored(rule.filters))
            for backend in rule.backends:
                found.add(backend.cluster)
                found.update(_mirrored(backend.filters))
    found.discard("")
    return found


def _mirrored(filters: Filters) -> Iterator[str]:
    return (mirror.cluster for mirror in filters.mirrors)


def _doubled_in_table(table: RouteTable) -> Iterator[str]:
    of = f"of route table {table.name}"
    yield from _doubled(f"virtual host {of}", (host.name for host in table.virtual_hosts))
    yield from _doubled(f"hostname {of}", (host.hostname or "(any)" for host in table.virtual_hosts))
    yield from _doubled(f"rule {of}", (rule.name for host in table.virtual_hosts for rule in host.rules))


def _doubled(what: str, names: Iterable[str]) -> Iterator[str]:
    for name, count in Counter(names).items():
        if count > 1:
            yield f"{what} {name} occurs {count} times"
