"""Verdicts and what is said of them, by a clock that the test holds."""

from __future__ import annotations

from typing import Any

import pytest

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.events import Event, EventType
from meshproxy.health.cluster_health import ClusterHealth
from meshproxy.health.states import UNCHECKED, HealthStatus
from meshproxy.snapshot.model import Endpoint
from tests.unit.health.builders import make_check, make_cluster, make_endpoints, make_outlier

A, B, C = "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"
REFUSED = "connect refused"
ALL = make_endpoints(*map(SocketAddress.parse, (A, B, C)))


class Told:
    """A cluster's health, and what it told."""

    def __init__(self, *endpoints: Endpoint, **config: Any) -> None:
        self.changes: list[tuple[str, bool]] = []
        self.events: list[Event] = []
        self.cluster = ClusterHealth(make_cluster(), lambda *change: self.changes.append(change), self.events.append)
        self.configure(*endpoints, **config)

    def configure(self, *endpoints: Endpoint, now: float = 0.0, **config: Any) -> None:
        self.cluster.configure(make_cluster(**config), endpoints, now)

    def take_changes(self) -> list[tuple[str, bool]]:
        changes, self.changes[:] = list(self.changes), []
        return changes

    def take_events(self) -> list[str]:
        events, self.events[:] = [f"{event.reason}: {event.message}" for event in self.events], []
        return events


def test_an_endpoint_gets_traffic_until_a_check_says_otherwise() -> None:
    told = Told(*ALL, health_check=make_check())
    assert told.cluster.health_of(A) is UNCHECKED
    assert UNCHECKED.usable
    told.cluster.record(A, "", now=1.0)
    told.cluster.record(B, REFUSED, now=2.0)
    assert told.take_changes() == [(B, False)]
    assert told.take_events() == [f"EndpointUnhealthy: endpoint e1 ({B}) became unhealthy: connect refused"]
    health = told.cluster.health_of(B)
    assert (health.status, health.reason, health.since) == (HealthStatus.UNHEALTHY, REFUSED, 2.0)
    assert told.cluster.unusable == (B,)
    assert not told.cluster.health_of(B).usable


def test_it_comes_back() -> None:
    told = Told(*ALL, health_check=make_check(healthy_threshold=2))
    told.cluster.record(A, REFUSED, now=1.0)
    told.cluster.record(A, "HTTP 503, expected 200-399", now=2.0)
    health = told.cluster.health_of(A)
    assert (health.reason, health.since, health.consecutive_failures) == ("HTTP 503, expected 200-399", 1.0, 2)
    told.take_changes(), told.take_events()
    told.cluster.record(A, "", now=3.0)
    assert told.take_changes() == []
    told.cluster.record(A, "", now=4.0)
    assert told.take_changes() == [(A, True)]
    assert told.take_events() == [f"EndpointHealthy: endpoint e0 ({A}) became healthy"]
    health = told.cluster.health_of(A)
    assert (health.status, health.reason, health.since, health.consecutive_successes) == ("Healthy", "", 4.0, 2)


def test_ejection_and_return() -> None:
    told = Told(*ALL, outlier_detection=make_outlier(base_ejection_time=30.0, max_ejection_percent=50))
    told.cluster.failing(A, 5, "connections failed in a row: connection refused", now=1.0)
    told.cluster.failing(A, 10, "connections failed in a row: connection refused", now=2.0)
    told.cluster.failing(B, 5, "connections failed in a row: connection refused", now=3.0)
    assert told.take_changes() == [(A, False)], "half of three may be ejected"
    assert told.take_events() == [
        f"EndpointEjected: endpoint e0 ({A}) is ejected for 30s: 5 connections failed in a row: connection refused"
    ]
    health = told.cluster.health_of(A)
    assert (health.status, health.since, health.ejected_until, health.ejections) == ("Ejected", 1.0, 31.0, 1)
    told.cluster.sweep(now=30.0)
    assert told.take_changes() == []
    told.cluster.sweep(now=40.0)
    assert told.take_changes() == [(A, True)]
    assert told.take_events() == [f"EndpointReturned: endpoint e0 ({A}) returned: its ejection is over"]
    assert told.cluster.health_of(A).status is HealthStatus.UNKNOWN


def test_checks_do_not_end_an_ejection_but_say_what_comes_after() -> None:
    told = Told(*ALL, health_check=make_check(), outlier_detection=make_outlier(base_ejection_time=30.0))
    told.cluster.failing(A, 5, "connections failed in a row: connection refused", now=0.0)
    told.cluster.record(A, "", now=1.0)
    health = told.cluster.health_of(A)
    assert (health.status, health.since) == (HealthStatus.EJECTED, 0.0)
    assert health.reason == "5 connections failed in a row: connection refused"
    told.cluster.record(A, REFUSED, now=2.0)
    told.cluster.record(A, REFUSED, now=3.0)
    told.take_changes(), told.take_events()
    told.cluster.sweep(now=30.0)
    assert told.take_changes() == []
    assert told.take_events() == [f"EndpointUnhealthy: endpoint e0 ({A}) became unhealthy: connect refused"]


@pytest.mark.parametrize(
    ("use_all", "consequence"), [(True, "all of them are used"), (False, "connections are refused")]
)
def test_when_the_last_one_goes_it_is_said_what_happens_now(use_all: bool, consequence: str) -> None:
    told = Told(*ALL[:2], health_check=make_check(), use_all_when_none_healthy=use_all)
    told.cluster.record(A, REFUSED, now=1.0)
    told.cluster.record(B, REFUSED, now=1.0)
    assert told.take_events()[-1] == f"NoHealthyEndpoints: no endpoint of port http is healthy: {consequence}"
    told.cluster.record(A, "", now=2.0)
    assert told.take_events()[-1] == "HealthyEndpoints: port http has a healthy endpoint again"


def test_configuration_makes_and_ends_the_state_in_which_none_is_usable() -> None:
    told = Told(*ALL[:2], health_check=make_check())
    told.cluster.record(A, REFUSED, now=1.0)
    told.take_events()
    told.configure(ALL[0], now=2.0, health_check=make_check())
    assert [event.split(":")[0] for event in told.take_events()] == ["NoHealthyEndpoints"]
    told.configure(*ALL, now=3.0, health_check=make_check())
    assert [event.split(":")[0] for event in told.take_events()] == ["HealthyEndpoints"]
    told.configure(ALL[0], now=4.0, health_check=make_check())
    told.take_events()
    told.configure(now=5.0, health_check=make_check())
    assert told.take_events() == [], "no endpoint at all is neither"


def test_endpoints_without_weight_carry_nothing() -> None:
    idle = Endpoint(address=SocketAddress("10.0.0.9", 80), weight=0)
    told = Told(ALL[0], idle, health_check=make_check())
    told.cluster.record(A, REFUSED, now=1.0)
    assert "NoHealthyEndpoints" in told.take_events()[-1]
    told.cluster.record(idle.id, REFUSED, now=2.0)
    assert told.take_events() == [f"EndpointUnhealthy: endpoint {idle.id} became unhealthy: connect refused"]
    told = Told(idle, health_check=make_check())
    told.cluster.record(idle.id, REFUSED, now=1.0)
    assert len(told.take_events()) == 1


def test_who_stays_keeps_its_state_and_who_left_is_forgotten() -> None:
    config: dict[str, Any] = {"health_check": make_check(), "outlier_detection": make_outlier()}
    told = Told(*ALL, **config)
    told.cluster.record(A, REFUSED, now=1.0)
    told.cluster.failing(B, 5, "connections failed in a row: connection refused", now=1.0)
    told.take_changes()
    told.configure(*ALL[:2], now=2.0, **config)
    assert list(told.cluster.unusable) == [A, B]
    told.configure(ALL[2], now=3.0, **config)
    assert list(told.cluster.unusable) == []
    assert not told.cluster.health
    told.configure(*ALL, now=4.0, **config)
    assert told.cluster.health_of(B) is UNCHECKED
    told.cluster.failing(A, 5, "connections failed in a row: connection refused", now=5.0)
    assert told.take_changes() == [(A, False)], "the ejection of who left makes room"


def test_what_is_taken_away_from_the_policy_has_no_say_any_more() -> None:
    config: dict[str, Any] = {"health_check": make_check(), "outlier_detection": make_outlier()}
    told = Told(*ALL, **config)
    told.cluster.record(A, REFUSED, now=1.0)
    told.cluster.failing(B, 5, "connections failed in a row: connection refused", now=1.0)
    told.take_changes(), told.take_events()
    told.configure(*ALL, now=2.0, outlier_detection=make_outlier())
    assert told.take_changes() == [(A, True)]
    assert told.take_events() == [f"EndpointUnchecked: endpoint e0 ({A}) is no longer checked, and used again"]
    told.configure(*ALL, now=3.0)
    assert told.take_changes() == [(B, True)]
    assert list(told.cluster.unusable) == []


def test_late_news_of_what_is_not_there_is_passed_over() -> None:
    told = Told(ALL[0])
    told.cluster.record(A, REFUSED, now=1.0)
    told.cluster.failing(A, 5, "connections failed in a row: connection refused", now=1.0)
    told.configure(ALL[0], health_check=make_check(), outlier_detection=make_outlier())
    told.cluster.record(B, REFUSED, now=1.0)
    told.cluster.failing(B, 5, "connections failed in a row: connection refused", now=1.0)
    told.cluster.sweep(now=2.0)
    assert (told.changes, told.events, dict(told.cluster.health)) == ([], [], {})


@pytest.mark.parametrize(("service", "subject"), [("default/s", "Service/s"), ("team-a/s", "Service/team-a/s")])
def test_the_subject_is_the_service(service: str, subject: str) -> None:
    events: list[Event] = []
    cluster = ClusterHealth(make_cluster(), lambda *change: None, events.append)
    config = make_cluster(health_check=make_check())
    cluster.configure(type(config)(name="c", service=service, health_check=make_check()), ALL, now=0.0)
    cluster.record(A, REFUSED, now=1.0)
    assert (events[0].subject, events[0].type) == (subject, EventType.WARNING)


def test_a_thousand_deaths_are_told_in_time() -> None:
    """Each is O(1): no scan of the others while some of them may be used."""
    endpoints = tuple(Endpoint(address=SocketAddress("10.0.0.1", port)) for port in range(1, 20_001))
    told = Told(*endpoints, health_check=make_check())
    for endpoint in endpoints:
        told.cluster.record(endpoint.id, REFUSED, now=1.0)
    assert len(told.changes) == 20_000
    assert told.events[-1].reason == "NoHealthyEndpoints"
