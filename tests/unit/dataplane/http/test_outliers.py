"""What counts as failing in a row, and when that is reported."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import pytest

from meshproxy.base.addresses import SocketAddress
from meshproxy.dataplane.cluster import Cluster
from meshproxy.dataplane.upstream import Upstream
from meshproxy.snapshot import model
from meshproxy.snapshot.model import Algorithm, Endpoint, OutlierDetection
from tests.support.http import HTTPPlane, Last, rule
from tests.unit.dataplane.http.conftest import MakeOrigin

DETECTION = OutlierDetection(
    consecutive_failures=3,
    interval=1,
    base_ejection_time=1,
    max_ejection_time=1,
    max_ejection_percent=100,
)
A = Endpoint(address=SocketAddress("10.0.0.1", 80))
WHAT = {
    "connect": "connections failed in a row: refused",
    "request": "requests failed in a row: reset",
    "5xx": "responses of 500 to 599",
    "gateway": "gateway errors",
}


class Watched:
    """A cluster of one endpoint, and what it reported: (how many, of what)."""

    def __init__(self, **detection: Any) -> None:
        self.reported: list[tuple[int, str]] = []
        self.config = model.Cluster(
            name="c", service="default/s", outlier_detection=msgspec.structs.replace(DETECTION, **detection)
        )
        self.cluster = Cluster(self.config, Random(1), lambda: 0.0, self._report)
        for _ in self.cluster.update_endpoints([A], ()):
            pass

    def _report(self, cluster: str, upstream: Upstream, times: int, what: str) -> None:
        assert (cluster, upstream.key) == ("c", A.id)
        (kind,) = [kind for kind, words in WHAT.items() if what.startswith(words)]
        self.reported.append((times, kind))

    def happen(self, what: str | int) -> None:
        upstream = self.cluster.upstreams[A.id]
        if isinstance(what, int):
            self.cluster.responded(upstream, what)
        elif what == "connect":
            self.cluster.failed(upstream, "refused")
        elif what == "request":
            self.cluster.request_failed(upstream, "reset")
        else:
            self.cluster.succeeded(upstream)


LIMITS = {"consecutive_5xx": 3, "consecutive_gateway_errors": 2}


@pytest.mark.parametrize(
    ("limits", "events", "reported"),
    [
        ({}, ["connect"] * 2, []),
        ({}, ["connect"] * 7, [(3, "connect"), (6, "connect")]),
        ({}, ["connect", "request", "request"], [(3, "request")]),
        ({}, ["connect", "connect", "connected", "connect"], []),
        ({}, ["request", "request", 404, "request"], []),
        ({}, ["request", "request", 500, "request"], []),
        ({}, [500] * 50, []),
        (LIMITS, [500, 501, 599], [(3, "5xx")]),
        (LIMITS, [500, 500, 499, 500, 500], []),
        (LIMITS, [500, 500, 101, 500, 500], []),
        (LIMITS, [503, 500, 503, 200], [(3, "5xx")]),
        (LIMITS, [503, 504], [(2, "gateway")]),
        (LIMITS, [502, 503, 504, 200, 502], [(2, "gateway"), (3, "5xx")]),
        ({"consecutive_gateway_errors": 2}, [500] * 10, []),
        ({"consecutive_gateway_errors": 1}, [502, 500, 503], [(1, "gateway"), (1, "gateway")]),
    ],
)
def test_what_is_reported(limits: dict[str, int], events: list[str | int], reported: list[tuple[int, str]]) -> None:
    watched = Watched(**limits)
    for event in events:
        watched.happen(event)
    assert watched.reported == reported


def test_without_detection_nothing_is_reported() -> None:
    watched = Watched()
    for _ in watched.cluster.configure(msgspec.structs.replace(watched.config, outlier_detection=None)):
        pass
    events: list[str | int] = ["connect", "request", 500, 503]
    for event in events * 10:
        watched.happen(event)
    assert watched.reported == []


def change_weight(watched: Watched) -> None:
    for _ in watched.cluster.update_endpoints([msgspec.structs.replace(A, weight=7)], ()):
        pass


def change_algorithm(watched: Watched) -> None:
    for _ in watched.cluster.configure(msgspec.structs.replace(watched.config, algorithm=Algorithm.RANDOM)):
        pass


@pytest.mark.parametrize("change", [change_weight, change_algorithm])
def test_counts_survive_a_change(change: Callable[[Watched], None]) -> None:
    watched = Watched(**LIMITS)
    watched.happen(503)
    watched.happen(500)
    change(watched)
    watched.happen(500)
    assert watched.reported == [(3, "5xx")]


def test_an_endpoint_that_returns_begins_anew() -> None:
    watched = Watched(**LIMITS)
    for _ in range(5):
        watched.happen(500)
    watched.cluster.set_health(A.id, False)
    watched.cluster.set_health(A.id, True)
    watched.happen(500)
    watched.happen(500)
    assert watched.reported == [(3, "5xx")]


async def test_an_endpoint_that_hangs_up_on_every_request_is_failing(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    """Its connections open all the same, a new one for each."""
    origin = await make_origin(Last(b""))
    cluster = model.Cluster(name="c0", service="default/s", outlier_detection=DETECTION)
    plane.route(rule(), origins=(origin,), clusters=(cluster,))
    client = await plane.connect()
    for _ in range(3):
        assert (await client.get()).status in (502, 503)
    assert [(each.endpoint, each.failures) for each in plane.failing] == [(origin.endpoint.id, 3)]
    assert plane.failing[0].reason.startswith("requests failed in a row: ")
