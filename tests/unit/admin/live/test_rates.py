"""Rates out of counts that only grow."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from meshproxy.admin.documents import routes
from meshproxy.admin.live.mesh import Mesh, mesh_of
from meshproxy.admin.live.rates import WINDOW, Rates, RatesDocument
from meshproxy.snapshot.messages import RequestCounts
from meshproxy.telemetry.request_totals import EndpointRequests, RuleKey
from meshproxy.telemetry.totals import EndpointTotals
from tests.support.view import CLUSTER, GATEWAY, ONE, TWO, FakeView, make_counts, make_snapshot

CART = RuleKey(CLUSTER, "default/shop/cart", "backend:80")
GONE = RuleKey(CLUSTER, "default/shop/cart", "gone:80")
EDGE = RuleKey(GATEWAY, "team/edge-route/0", "default/backend:80")


class Watched(FakeView):
    """A view whose counts and clock the test moves."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 100.0
        self.requests = {}
        self.endpoints: dict[tuple[str, str], EndpointRequests] = {}
        self.totals: dict[tuple[str, str], EndpointTotals] = {}

    def now(self) -> float:
        return self.time

    def endpoint_requests(self) -> Mapping[tuple[str, str], EndpointRequests]:
        return dict(self.endpoints)

    def endpoint_totals(self) -> Mapping[tuple[str, str], EndpointTotals]:
        return dict(self.totals)

    def rule_requests(self) -> Mapping[RuleKey, RequestCounts]:
        return dict(self.requests)


@pytest.fixture
def view() -> Watched:
    return Watched()


def document_after(view: Watched, rates: Rates, seconds: float = 1.0) -> RatesDocument:
    view.time += seconds
    rates.look(view)
    mesh: Mesh = mesh_of(make_snapshot())
    return rates.document(mesh, tuple(routes.rows(view)))


def test_requests_a_second(view: Watched) -> None:
    view.requests[CART] = make_counts(ok=1000)
    rates = Rates()
    rates.look(view)
    view.requests[CART] = make_counts(ok=1045, failed=5)
    view.requests[EDGE] = make_counts(ok=50)
    document = document_after(view, rates, 2.0)
    assert document.window == 2.0
    assert document.total is not None
    assert (document.total.rate, document.total.success) == (50.0, 0.95)
    assert document.services["default/backend"].rate == 50.0
    assert {name: each.rate for name, each in document.entries.items()} == {"Clients": 25.0, "Gateway/team/edge": 25.0}
    assert [document.calls[index].success for index in (0, 1)] == [0.9, 1.0]
    assert 0.0025 < (document.total.p50 or 0) <= (document.total.p99 or 0) <= 0.005


def test_what_was_before_the_first_look_does_not_count(view: Watched) -> None:
    view.requests[CART] = make_counts(ok=1000)
    rates = Rates()
    rates.look(view)
    document = document_after(view, rates)
    assert (document.total, document.services, document.calls) == (None, {}, {})


def test_one_look_has_no_rates(view: Watched) -> None:
    view.requests[CART] = make_counts(ok=1000)
    document = document_after(view, Rates())
    assert (document.window, document.total) == (0.0, None)


def test_the_window_moves_on(view: Watched) -> None:
    rates = Rates()
    rates.look(view)
    view.requests[CART] = make_counts(ok=100)
    documents = [document_after(view, rates) for _ in range(WINDOW + 1)]
    assert [each.total is not None for each in documents] == [True] * WINDOW + [False]
    assert documents[-1].window == WINDOW


def test_what_counts_anew_is_passed_over(view: Watched) -> None:
    view.requests[CART] = make_counts(ok=1000)
    rates = Rates()
    rates.look(view)
    view.requests[CART] = make_counts(ok=3)
    assert document_after(view, rates).total is None


def test_a_split_as_it_is_now_and_since_the_start(view: Watched) -> None:
    view.requests |= {CART: make_counts(ok=300), GONE: make_counts(failed=100)}
    rates = Rates()
    rates.look(view)
    view.requests |= {CART: make_counts(ok=390), GONE: make_counts(failed=110)}
    document = document_after(view, rates)
    rows = list(routes.rows(view))
    index = next(number for number, row in enumerate(rows) if row.rule == CART.rule)
    assert [(share.rate, share.total) for share in document.routes[index]] == [(0.0, 0), (90.0, 390), (10.0, 110)]
    assert len(document.routes) == 1, "rules without a request are not there"


def test_endpoints_and_connections(view: Watched) -> None:
    first, second = (CLUSTER, str(ONE)), (CLUSTER, str(TWO))
    view.totals |= {first: EndpointTotals(1, 10, 0, 0, 1000, 5000), second: EndpointTotals(0, 7)}
    rates = Rates()
    rates.look(view)
    view.totals[first] = EndpointTotals(3, 14, 2, 0, 3000, 9000)
    view.endpoints[first] = EndpointRequests(requests=make_counts(ok=8))
    document = document_after(view, rates, 2.0)
    (endpoint,) = document.endpoints
    assert (endpoint.cluster, endpoint.endpoint) == first
    assert endpoint.requests is not None
    assert endpoint.requests.rate == 4.0
    assert endpoint.connections == (3, 2.0, 1.0, 1000.0, 2000.0)
    assert document.connections == document.service_connections["default/backend"] == (3, 2.0, 1.0, 1000.0, 2000.0)
