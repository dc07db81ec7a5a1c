"""What `meshproxy top` shows: rows out of the sections of the live channel."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from meshproxy.cli.tables import format_bytes, format_latency, format_share

Sections = dict[str, Any]
"""The newest value of each, by name (see docs/dashboard.md)."""
HEADS = ("NAME", "READY", "REQ/S", "SUCCESS", "P50", "P99", "OPEN", "NEW/S", "FAIL/S", "BYTES/S")


class Order(enum.StrEnum):
    """What rows are sorted by. Names begin with a; of everything else the most, or the worst, comes first."""

    NAME = "name"
    READY = "ready"
    RATE = "rate"
    SUCCESS = "success"
    P99 = "p99"
    OPEN = "open"
    BYTES = "bytes"


class TopRow(NamedTuple):
    """A Service, or (indented) one of its callers or endpoints. Latencies are seconds; what is None has no requests."""

    name: str
    ready: int
    total: int
    status: str
    rate: float
    success: float | None
    p50: float | None
    p99: float | None
    open: int
    opened: float
    failed: float
    bytes: float

    def cells(self) -> tuple[str, ...]:
        return (
            self.name,
            self.status,
            f"{self.rate:.1f}",
            format_share(self.success) if self.success is not None else "-",
            format_latency(self.p50),
            format_latency(self.p99),
            str(self.open),
            f"{self.opened:.1f}",
            f"{self.failed:.1f}",
            format_bytes(self.bytes),
        )

    @property
    def is_bad(self) -> bool:
        """Whether somebody should look."""
        return self.ready < self.total or (self.success is not None and self.success < 0.99)


class CallRow(NamedTuple):
    """Who calls `target`, a Service's id; `secure` where it has proved who it is. What is None is nothing."""

    target: str
    name: str
    secure: str
    requests: Sequence[Any] | None
    connections: Sequence[Any] | None

    @property
    def is_bad(self) -> bool:
        """Whether somebody should look."""
        return bool(self.requests and self.requests[1] < 0.99) or bool(self.connections and self.connections[2])


class Group(NamedTuple):
    """A Service with its callers and its endpoints."""

    service: TopRow
    callers: tuple[TopRow, ...]
    endpoints: tuple[TopRow, ...]


def groups(sections: Sections, namespace: str | None) -> Iterator[Group]:
    """Every Service, or those of one namespace, with what happened in the last seconds."""
    rates = sections["rates"]
    health = {(cluster, endpoint): (status, usable) for cluster, endpoint, status, usable, *_ in sections["health"]}
    moving = {(cluster, endpoint): both for cluster, endpoint, *both in rates["endpoints"]}
    callers = _callers(sections)
    for service in sections["mesh"]["services"]:
        if namespace in (None, service["namespace"]):
            endpoints = tuple(_endpoints(service, health, moving))
            usable, everything = {each.name for each in endpoints if each.ready}, {each.name for each in endpoints}
            counted = (len(usable), len(everything), f"{len(usable)}/{len(everything)}")
            requests, connections = rates["services"].get(service["id"]), rates["serviceConnections"].get(service["id"])
            yield Group(
                _row(service["id"], *counted, requests, connections), tuple(callers.get(service["id"], ())), endpoints
            )


def _callers(sections: Sections) -> dict[str, list[TopRow]]:
    """By the Service that they call, the busiest first."""
    rows: dict[str, list[TopRow]] = {}
    for call in calls(sections):
        if call.requests or call.connections:
            row = _row(f"  < {call.name}", 0, 0, call.secure, call.requests, call.connections)
            rows.setdefault(call.target, []).append(row)
    for each in rows.values():
        each.sort(key=lambda row: (-row.rate, -row.open, row.name))
    return rows


def calls(sections: Sections) -> Iterator[CallRow]:
    """By caller where any is known, and otherwise by what they come in by."""
    callers: dict[int, list[Any]] = {}
    for index, *caller in sections["rates"]["callers"]:
        callers.setdefault(index, []).append(caller)
    services = {each["id"] for each in sections["mesh"]["services"]}
    for index, (source, target) in enumerate(sections["mesh"]["calls"]):
        edge = f" by {source}" if source == "Ingress" or source.startswith("Gateway/") else ""
        for _, name, secure, requests, connections in callers.get(index, ()):
            yield CallRow(target, f"{name or 'others'}{edge}", secure, requests, connections)
        if index not in callers:
            name = f"routes of {source}" if source in services else source
            yield CallRow(target, name, "", sections["rates"]["calls"].get(str(index)), None)


def _endpoints(service: Any, health: dict[Any, Any], moving: dict[Any, Any]) -> Iterator[TopRow]:
    for cluster in service["clusters"]:
        for endpoint in cluster["endpoints"]:
            key = (cluster["name"], endpoint["id"])
            status, usable = health.get(key, ("Unknown", True)) if endpoint["ready"] else ("NotReady", False)
            name = f"  {endpoint['name'] or endpoint['id']} ({endpoint['id']})"
            yield _row(name, int(usable and bool(endpoint["weight"])), 1, status, *moving.get(key, (None, None)))


def _row(
    name: str, ready: int, total: int, status: str, requests: Sequence[Any] | None, connections: Sequence[Any] | None
) -> TopRow:
    name = name if name.isprintable() else repr(name)[1:-1]  # no terminal is to obey a name
    rate, success, p50, p99 = requests or (0.0, None, None, None)
    active, opened, failed, sent, received = connections or (0, 0.0, 0.0, 0.0, 0.0)
    return TopRow(name, ready, total, status, rate, success, p50, p99, active, opened, failed, sent + received)


def ordered(
    found: Iterable[Group], order: Order, *, with_callers: bool = False, with_endpoints: bool = False
) -> Iterator[TopRow]:
    """Services sorted by `order`, by name where that is the same; each followed by its details where wanted."""
    for group in sorted(found, key=lambda each: (_rank(each.service, order), each.service.name)):
        yield group.service
        if with_callers:
            yield from group.callers
        if with_endpoints:
            yield from group.endpoints


def _rank(row: TopRow, order: Order) -> float:
    match order:
        case Order.NAME:
            return 0.0
        case Order.READY:
            return row.ready / row.total if row.total else 1.0
        case Order.RATE:
            return -row.rate
        case Order.SUCCESS:
            return row.success if row.success is not None else 2.0
        case Order.P99:
            return -(row.p99 or 0.0)
        case Order.OPEN:
            return -row.open
        case Order.BYTES:
            return -row.bytes
