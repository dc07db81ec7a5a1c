"""What callers do, out of counts that only grow."""

from __future__ import annotations

import msgspec

from meshproxy.admin.live.callers import SHOWN, CallerRate, caller_rates
from meshproxy.admin.live.mesh import CLIENTS, Call, Mesh, mesh_of
from meshproxy.snapshot.messages import CallerStats
from meshproxy.snapshot.model import Snapshot
from meshproxy.telemetry.caller_totals import CallerKey
from tests.support.view import CLUSTER, make_counts, make_snapshot

WEB = "spiffe://mesh.local/ns/shop/sa/web"
BACKEND, EDGE = "default/backend", "Gateway/team/edge"


def stats(caller: str, service: str = BACKEND, cluster: str = CLUSTER, **counts: object) -> CallerStats:
    return msgspec.structs.replace(CallerStats(caller, service, cluster), **counts)


def rates(*changes: tuple[CallerStats | None, CallerStats], window: float = 2.0) -> list[CallerRate]:
    """What is told of changes from one to the other."""
    old = {_key(before): before for before, _ in changes if before is not None}
    return caller_rates(old, {_key(now): now for _, now in changes}, window, mesh())


def _key(each: CallerStats) -> CallerKey:
    return CallerKey(each.caller, each.service, each.cluster)


def mesh() -> Mesh:
    return mesh_of(make_snapshot())


def test_requests_by_identity() -> None:
    before, now = (stats(WEB, requests=make_counts(ok=ok, failed=failed)) for ok, failed in ((100, 0), (109, 1)))
    (rate,) = rates((before, now))
    assert (rate.id, rate.name, rate.secure, rate.connections) == (WEB, "shop/web", "mTLS", None)
    assert mesh().document.calls[rate.call] == Call(CLIENTS, BACKEND)
    assert rate.requests is not None
    assert rate.requests[:2] == (5.0, 0.9)


def test_connections_and_their_failures() -> None:
    before, now = (
        stats(WEB, active=3, connections=10, sent=100),
        stats(WEB, active=2, connections=14, failures=1, sent=300),
    )
    (rate,) = rates((before, now))
    assert (rate.requests, rate.connections) == (None, (2, 2.0, 0.5, 100.0, 0.0))


def test_who_has_nothing_open_and_did_nothing_is_not_told() -> None:
    idle, still = stats("10.0.0.1", connections=7), stats("10.0.0.2", active=1, connections=7)
    assert [rate.name for rate in rates((idle, idle), (still, still))] == ["10.0.0.2"]
    assert rates((idle, msgspec.structs.replace(idle))) == [], "two workers' counts are summed anew each time"


def test_addresses_of_one_workload_are_summed() -> None:
    now = [stats(each, requests=make_counts(ok=8)) for each in ("127.0.1.1", "::ffff:127.0.1.1")]
    (rate,) = rates(*((None, each) for each in now))
    assert rate.name == "default/backend-1"
    assert rate.requests is not None
    assert rate.requests.rate == 8.0


def test_who_was_forgotten_and_came_again_begins_at_nothing() -> None:
    before, now = stats(WEB, requests=make_counts(ok=900)), stats(WEB, requests=make_counts(ok=4))
    (rate,) = rates((before, now))
    assert rate.requests is not None
    assert rate.requests.rate == 2.0


def test_only_the_busiest_are_told_apart() -> None:
    many = [stats(f"10.0.0.{number}", requests=make_counts(ok=number)) for number in range(1, 2 * SHOWN + 1)]
    told = rates(*((None, each) for each in (*many, stats("", requests=make_counts(ok=1000)))), window=1.0)
    assert [rate.name for rate in told] == [*(f"10.0.0.{number}" for number in range(2 * SHOWN, SHOWN, -1)), ""]
    assert [rate.requests.rate for rate in told if rate.requests] == [
        *(float(number) for number in range(2 * SHOWN, SHOWN, -1)),
        1000.0 + sum(range(1, SHOWN + 1)),
    ]


def test_which_call_it_is() -> None:
    index = mesh().index_of_call
    calls = mesh().document.calls
    assert calls[index(BACKEND, "whatever its routes lead to") or 0] == Call(CLIENTS, BACKEND)
    assert calls[index(EDGE, CLUSTER) or 0] == Call(EDGE, BACKEND)
    assert calls[index("Gateway/team/first-at-its-address", CLUSTER) or 0] == Call(EDGE, BACKEND)
    assert index(EDGE, "") is None, "nobody is called by what the Gateway answers itself"
    assert index("default/gone", "c") is None
    assert mesh_of(Snapshot(version="")).index_of_call("Inbound", "inbound/default/web:80") is None
