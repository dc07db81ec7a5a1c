"""Rows of `meshproxy top`, out of what the live channel says."""

from __future__ import annotations

from typing import Any

import pytest

from meshproxy.cli.top_rows import Order, groups, ordered


def service(name: str, *endpoints: str, namespace: str = "default") -> dict[str, Any]:
    return {
        "id": f"{namespace}/{name}",
        "namespace": namespace,
        "clusters": [
            {
                "name": f"{namespace}/{name}:http",
                "endpoints": [{"id": each, "name": f"{name}-{each}", "ready": True, "weight": 1} for each in endpoints],
            }
        ],
    }


SECTIONS = {
    "mesh": {
        "services": [
            service("web", "1", "2"),
            service("api", "3"),
            service("idle", "4"),
            service("other", namespace="team"),
        ],
        "calls": [["Clients", "default/web"], ["Gateway/team/edge", "default/web"], ["Clients", "default/api"]],
    },
    "health": [["default/web:http", "2", "Unhealthy", False, "connect refused", 1.0]],
    "rates": {
        "services": {"default/web": [10.0, 0.9, 0.001, 0.05], "default/api": [90.0, 1.0, 0.002, 0.01]},
        "serviceConnections": {"default/api": [7, 1.5, 0.0, 100.0, 1000.0]},
        "calls": {},
        "callers": [
            [0, "10.0.0.1", "10.0.0.1", "", [4.0, 1.0, 0.001, 0.05], None],
            [0, "spiffe://t/ns/shop/sa/cart", "shop/cart", "mTLS", [6.0, 0.8, 0.001, 0.05], None],
            [1, "", "", "", [5.0, 1.0, 0.001, 0.05], None],
            [2, "shop/batch", "shop/batch", "", None, [7, 1.5, 0.5, 100.0, 1000.0]],
        ],
        "endpoints": [["default/web:http", "1", [10.0, 0.9, 0.001, 0.05], None]],
    },
}


def names(order: Order) -> list[str]:
    rows = ordered(groups(SECTIONS, None), order, with_endpoints=False)
    return [row.name.partition("/")[2] for row in rows]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (Order.NAME, ["api", "idle", "web", "other"]),
        (Order.RATE, ["api", "web", "idle", "other"]),
        (Order.SUCCESS, ["web", "api", "idle", "other"]),
        (Order.READY, ["web", "api", "idle", "other"]),
        (Order.P99, ["web", "api", "idle", "other"]),
        (Order.OPEN, ["api", "idle", "web", "other"]),
        (Order.BYTES, ["api", "idle", "web", "other"]),
    ],
)
def test_every_order(order: Order, expected: list[str]) -> None:
    assert names(order) == expected


def test_a_namespace() -> None:
    assert [group.service.name for group in groups(SECTIONS, "team")] == ["team/other"]


def test_endpoints_follow_their_service() -> None:
    rows = list(ordered(groups(SECTIONS, "default"), Order.RATE, with_endpoints=True))
    assert [(row.name.strip(), row.status) for row in rows] == [
        ("default/api", "1/1"),
        ("api-3 (3)", "Unknown"),
        ("default/web", "1/2"),
        ("web-1 (1)", "Unknown"),
        ("web-2 (2)", "Unhealthy"),
        ("default/idle", "1/1"),
        ("idle-4 (4)", "Unknown"),
    ]
    assert [row.is_bad for row in rows] == [False, False, True, True, True, False, False]


def test_callers_follow_their_service() -> None:
    rows = list(ordered(groups(SECTIONS, "default"), Order.RATE, with_callers=True))
    assert [(row.name, row.status, row.rate, row.open, row.failed) for row in rows] == [
        ("default/api", "1/1", 90.0, 7, 0.0),
        ("  < shop/batch", "", 0.0, 7, 0.5),
        ("default/web", "1/2", 10.0, 0, 0.0),
        ("  < shop/cart", "mTLS", 6.0, 0, 0.0),
        ("  < others by Gateway/team/edge", "", 5.0, 0, 0.0),
        ("  < 10.0.0.1", "", 4.0, 0, 0.0),
        ("default/idle", "1/1", 0.0, 0, 0.0),
    ]


def test_cells() -> None:
    rows = {group.service.name: group.service.cells() for group in groups(SECTIONS, None)}
    assert rows["default/api"] == ("default/api", "1/1", "90.0", "100%", "2ms", "10ms", "7", "1.5", "0.0", "1.1 KiB")
    assert rows["default/idle"] == ("default/idle", "1/1", "0.0", "-", "-", "-", "0", "0.0", "0.0", "0 B")


def test_no_terminal_obeys_a_name() -> None:
    mesh = {"services": [service("\x1b[2J", "\x1b]0;x\x07")], "calls": [["Clients", "default/\x1b[2J"]]}
    callers = [[0, "x", "\x1b[2J", "mTLS", None, [1, 0.0, 0.0, 0.0, 0.0]]]
    rates = {"services": {}, "serviceConnections": {}, "calls": {}, "callers": callers, "endpoints": []}
    hostile = {**SECTIONS, "mesh": mesh, "rates": rates}
    rows = list(ordered(groups(hostile, None), Order.NAME, with_callers=True, with_endpoints=True))
    assert len(rows) == 3
    assert all(row.name.isprintable() for row in rows)
