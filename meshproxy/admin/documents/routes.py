"""Rules of HTTPRoutes and Ingresses, at each place where they apply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from meshproxy.admin.documents.requests import RequestsRow, requests_row
from meshproxy.admin.documents.row import Row
from meshproxy.admin.view import ProxyView
from meshproxy.routing.explain import describe_match
from meshproxy.routing.words import describe_filters, describe_limits, shares
from meshproxy.snapshot.messages import RequestCounts
from meshproxy.snapshot.routes import Backend, RouteTable, Rule, VirtualHost
from meshproxy.telemetry.request_totals import NO_REQUESTS, RuleKey, sum_of


class BackendRow(Row, frozen=True, kw_only=True):
    """`share` (0 to 1) is what it is to have of the rule's requests; where there is a `problem` they get a 500.

    `requests` are those that it had; a backend that is there twice has them once for both.
    """

    backend: str
    cluster: str
    weight: int
    share: float
    problem: str
    filters: tuple[str, ...]
    requests: RequestsRow


class RouteRow(Row, frozen=True, kw_only=True):
    """One rule at one parent.

    `parent` is a Service's port (``Service/shop/cart:http``), a Gateway's listener (``Gateway/shop/edge/web``),
    ``Ingress``, or ``Ingress:host`` with TLS; `service` is the Service's name, or the parent's without the namespace as
    listeners have it. `hostnames` empty is any host: they are the rule's own, or its Gateway listener's. `matches`,
    `filters` and `limits` are in words. `requests` are the rule's, those included that no backend got.
    """

    namespace: str
    name: str
    kind: str
    rule: str
    parent: str
    service: str
    table: str
    hostnames: tuple[str, ...]
    matches: tuple[str, ...]
    backends: tuple[BackendRow, ...]
    filters: tuple[str, ...]
    limits: tuple[str, ...]
    requests: RequestsRow


def rows(view: ProxyView) -> Iterator[RouteRow]:
    """In order of tables, virtual hosts, and rules as they come there."""
    counted = view.rule_requests()
    for table in view.snapshot().route_tables:
        for virtual_host in table.virtual_hosts:
            for rule in virtual_host.rules:
                yield _row(rule, table, virtual_host, counted)


def parent_of(table: RouteTable, virtual_host: VirtualHost) -> tuple[str, str]:
    """(the parent, its owner's name as in `Owner.service`).

    A Service port's table has one virtual host of its own name; others are named ``namespace/gateway/listener``, and
    those of Ingresses ``Ingress`` or, with TLS, ``Ingress:host``.
    """
    name = virtual_host.name
    if name == table.name:
        return f"Service/{name}", name.partition("/")[2].rpartition(":")[0]
    _, slash, rest = name.partition("/")
    if not slash:
        return name, name.partition(":")[0]
    return f"Gateway/{name}", f"Gateway/{rest.rpartition('/')[0]}"


def _row(
    rule: Rule, table: RouteTable, virtual_host: VirtualHost, counted: Mapping[RuleKey, RequestCounts]
) -> RouteRow:
    parent, service = parent_of(table, virtual_host)
    requests = {
        name: counted.get(RuleKey(table.name, rule.name, name), NO_REQUESTS)
        for name in ("", *(each.name for each in rule.backends))
    }
    kind, _, key = rule.route.partition("/")
    namespace, _, name = key.partition("/")
    return RouteRow(
        namespace=namespace,
        name=name,
        kind=kind,
        rule=rule.name,
        parent=parent,
        service=service,
        table=table.name,
        hostnames=rule.hostnames or tuple(filter(None, (virtual_host.hostname,))),
        matches=tuple(map(describe_match, rule.matches)),
        backends=tuple(
            _backend(backend, share, requests[backend.name])
            for backend, share in zip(rule.backends, shares(rule.backends), strict=True)
        ),
        filters=tuple(describe_filters(rule.filters)),
        limits=tuple(describe_limits(rule)),
        requests=requests_row(sum_of(requests.values())),
    )


def _backend(backend: Backend, share: float, requests: RequestCounts) -> BackendRow:
    return BackendRow(
        backend=backend.name,
        cluster=backend.cluster,
        weight=backend.weight,
        share=share,
        problem=backend.problem,
        filters=tuple(describe_filters(backend.filters)),
        requests=requests_row(requests),
    )
