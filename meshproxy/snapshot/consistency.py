"""Proves a snapshot whole before anyone acts on it (as go-control-plane's `Snapshot.Consistent`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from meshproxy.base.errors import SnapshotRejected
from meshproxy.snapshot.model import Snapshot


def check_consistency(snapshot: Snapshot) -> None:
    """Raise `SnapshotRejected` with every dangling or doubled reference in `snapshot`."""
    reasons = list(_inconsistencies(snapshot))
    if reasons:
        raise SnapshotRejected(snapshot.version, reasons)


def _inconsistencies(snapshot: Snapshot) -> Iterable[str]:
    clusters = {cluster.name for cluster in snapshot.clusters}
    yield from _doubled("listener", (each.name for each in snapshot.listeners))
    yield from _doubled("cluster", (each.name for each in snapshot.clusters))
    yield from _doubled("assignment", (each.cluster for each in snapshot.assignments))
    yield from _doubled("bound address", (f"{each.address}/{each.transport}" for each in snapshot.listeners))
    for listener in snapshot.listeners:
        if listener.cluster not in clusters:
            yield f"listener {listener.name} refers to cluster {listener.cluster}, which does not exist"
    assigned = {assignment.cluster for assignment in snapshot.assignments}
    for cluster in sorted(assigned - clusters):
        yield f"endpoints are assigned to cluster {cluster}, which does not exist"
    for cluster in sorted(clusters - assigned):
        yield f"cluster {cluster} has no assignment"
    for assignment in snapshot.assignments:
        what = f"endpoint of cluster {assignment.cluster}"
        yield from _doubled(what, (each.id for each in assignment.endpoints))


def _doubled(what: str, names: Iterable[str]) -> Iterable[str]:
    for name, count in Counter(names).items():
        if count > 1:
            yield f"{what} {name} occurs {count} times"
