"""What an update costs, and what it is made of."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

import msgspec

from meshproxy.admin.live.feed import Feed
from meshproxy.base.addresses import SocketAddress
from meshproxy.health.states import UNCHECKED, EndpointHealth, HealthStatus
from meshproxy.identity.status import CertificateStatus
from meshproxy.snapshot.messages import CallerStats, RequestCounts
from meshproxy.snapshot.model import (
    Assignment,
    Cluster,
    Endpoint,
    Listener,
    ServicePortView,
    ServiceView,
    Snapshot,
    Transport,
)
from meshproxy.telemetry.caller_totals import CallerKey
from meshproxy.telemetry.request_totals import EndpointRequests, RuleKey
from meshproxy.telemetry.totals import EndpointTotals
from tests.support.access import make_record
from tests.support.view import FakeView, make_counts, make_identity_status

SERVICES = 200
ENDPOINTS = 3
CALLERS = 2
ALLOWED = 0.02
"""Seconds of CPU for an update, of which there is one a second: two per cent of a core."""


class Busy(FakeView):
    """Each of many endpoints has some requests between any two looks."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0
        clusters = [f"default/s{number}:http" for number in range(SERVICES)]
        members = tuple(Endpoint(address=SocketAddress("10.0.0.1", 8000 + each)) for each in range(ENDPOINTS))
        self.keys = [(cluster, endpoint.id) for cluster in clusters for endpoint in members]
        self._snapshot = Snapshot(
            version="busy",
            listeners=tuple(
                Listener(
                    name=each,
                    address=SocketAddress("127.0.0.1", 80),
                    transport=Transport.TCP,
                    cluster=each,
                    service=each.removesuffix(":http"),
                )
                for each in clusters
            ),
            clusters=tuple(Cluster(name=each, service=each.removesuffix(":http")) for each in clusters),
            assignments=tuple(Assignment(cluster=each, endpoints=members) for each in clusters),
            services=tuple(
                ServiceView(
                    namespace="default",
                    name=each.removesuffix(":http").removeprefix("default/"),
                    type="ClusterIP",
                    ports=(ServicePortView(name="http", port=80, transport=Transport.TCP, cluster=each),),
                )
                for each in clusters
            ),
        )

    def snapshot(self) -> Snapshot:
        return self._snapshot

    def now(self) -> float:
        return 100.0 + self.looks

    def health(self, cluster: str, endpoint_id: str) -> EndpointHealth:
        return EndpointHealth(status=HealthStatus.HEALTHY, since=7.0)

    def _counts(self) -> RequestCounts:
        return make_counts(ok=100 * self.looks, failed=self.looks)

    def rule_requests(self) -> Mapping[RuleKey, RequestCounts]:
        self.looks += 1
        return {RuleKey("", cluster.name, ""): self._counts() for cluster in self._snapshot.clusters}

    def endpoint_requests(self) -> Mapping[tuple[str, str], EndpointRequests]:
        return {key: EndpointRequests(requests=self._counts()) for key in self.keys}

    def callers(self) -> Mapping[CallerKey, CallerStats]:
        names = [f"spiffe://mesh.local/ns/default/sa/{number}" for number in range(CALLERS)]
        keys = [CallerKey(name, each.service, each.name) for each in self._snapshot.clusters for name in names]
        return {key: CallerStats(*key, requests=self._counts()) for key in keys}

    def endpoint_totals(self) -> Mapping[tuple[str, str], EndpointTotals]:
        return {key: EndpointTotals(1, self.looks, 0, 0, 1000 * self.looks, 1000 * self.looks) for key in self.keys}


def sections(update: bytes) -> dict[str, object]:
    """By name."""
    events = [event.split("\n") for event in update.decode().split("\n\n") if event]
    return {name.removeprefix("event: "): json.loads(data.removeprefix("data: ")) for name, data in events}


def test_an_update_of_two_hundred_busy_services_is_cheap() -> None:
    view = Busy()
    feed = Feed(view)
    feed.changes()
    spent = []
    for _ in range(10):
        began = time.process_time()
        update = feed.changes()
        spent.append(time.process_time() - began)
    rates = sections(update)["rates"]
    assert isinstance(rates, dict)
    assert (len(rates["services"]), len(rates["endpoints"])) == (SERVICES, SERVICES * ENDPOINTS)
    assert len(rates["callers"]) == SERVICES * CALLERS
    assert min(spent) < ALLOWED


def test_only_endpoints_of_which_something_is_known_have_a_health() -> None:
    feed = Feed(FakeView())
    feed.changes()
    health = sections(feed.everything())["health"]
    assert isinstance(health, list)
    assert [each[1] for each in health] == ["127.0.1.2:8080"]
    assert FakeView().health("default/backend:http", "127.0.1.1:8080") is UNCHECKED


def test_a_request_is_told_once() -> None:
    view = FakeView()
    feed = Feed(view)
    view.recent.add([make_record(target="/a")])
    assert "requests" in sections(feed.changes())
    assert "requests" not in sections(feed.changes())
    assert "requests" in sections(feed.everything()), "but to each who comes"


class Aging(FakeView):
    """Time goes by for a certificate."""

    def certificates(self) -> tuple[CertificateStatus, ...]:
        (own,) = make_identity_status().certificates
        self.left = getattr(self, "left", 3600.0) - 1
        return (msgspec.structs.replace(own, expires_in=self.left),)


def test_a_certificate_that_ages_is_no_news() -> None:
    feed = Feed(Aging())
    assert "certificates" in sections(feed.changes())
    assert "certificates" not in sections(feed.changes())
