"""Rules of HTTPRoutes and Ingresses, at each place where they apply."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.admin.documents.row import Row
from meshproxy.admin.view import ProxyView
from meshproxy.routing.explain import describe_match
from meshproxy.routing.words import describe_filters, describe_limits, shares
from meshproxy.snapshot.routes import Backend, RouteTable, Rule, VirtualHost


class BackendRow(Row, frozen=True, kw_only=True):
    """`share` (0 to 1) is of the rule's requests; where there is a `problem` they are answered with 500."""

    backend: str
    cluster: str
    weight: int
    share: float
    problem: str
    filters: tuple[str, ...]


class RouteRow(Row, frozen=True, kw_only=True):
    """One rule at one parent.

    `parent` is a Service's port (``Service/shop/cart:http``), a Gateway's listener (``Gateway/shop/edge/web``) or
    ``Ingress``; `service` is the Service's name, or the parent's without the namespace as listeners have it.
    `hostnames` empty is any host: they are the rule's own, or its Gateway listener's. `matches`, `filters` and
    `limits` are in words.
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


def rows(view: ProxyView) -> Iterator[RouteRow]:
    """In order of tables, virtual hosts, and rules as they come there."""
    for table in view.snapshot().route_tables:
        for virtual_host in table.virtual_hosts:
            parent, service = parent_of(table, virtual_host)
            for rule in virtual_host.rules:
                yield _row(rule, parent, service, table, virtual_host)


def parent_of(table: RouteTable, virtual_host: VirtualHost) -> tuple[str, str]:
    """(the parent, its owner's name as in `Owner.service`).

    A Service port's table has one virtual host of its own name; others are named ``namespace/gateway/listener``, and
    that of Ingresses ``Ingress``.
    """
    name = virtual_host.name
    if name == table.name:
        return f"Service/{name}", name.partition("/")[2].rpartition(":")[0]
    _, slash, rest = name.partition("/")
    if not slash:
        return name, name
    return f"Gateway/{name}", f"Gateway/{rest.rpartition('/')[0]}"


def _row(rule: Rule, parent: str, service: str, table: RouteTable, virtual_host: VirtualHost) -> RouteRow:
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
        backends=tuple(map(_backend, rule.backends, shares(rule.backends))),
        filters=tuple(describe_filters(rule.filters)),
        limits=tuple(describe_limits(rule)),
    )


def _backend(backend: Backend, share: float) -> BackendRow:
    return BackendRow(
        backend=backend.label or backend.cluster,
        cluster=backend.cluster,
        weight=backend.weight,
        share=share,
        problem=backend.problem,
        filters=tuple(describe_filters(backend.filters)),
    )
