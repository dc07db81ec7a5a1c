"""Which route table a request meets: a Service port's, or that of an address of Gateways and Ingresses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

import click

from meshproxy.loader.suggestions import did_you_mean
from meshproxy.routing.hosts import HostMap
from meshproxy.snapshot.model import Listener, ListenerRole, ServicePortView, ServiceView, Snapshot, Transport
from meshproxy.snapshot.routes import RouteTable

_EDGES = (ListenerRole.GATEWAY, ListenerRole.INGRESS)


class Selector(NamedTuple):
    """What the caller said. `service` and `gateway` are ``NAME`` or ``NAMESPACE/NAME``; `port` of any of them."""

    host: str
    service: str | None = None
    gateway: str | None = None
    port: str | None = None
    namespace: str = "default"


class Chosen(NamedTuple):
    """`table` is None for a Service port without routes. `where` says what it is for; `listener` uses it."""

    table: RouteTable | None
    where: str
    listener: Listener | None


def choose(snapshot: Snapshot, selector: Selector) -> Chosen:
    """The table for a request to `selector.host`; raises `click.UsageError` where it is not clear which.

    A host that is a Service's DNS name or address is for that Service, any other for Gateways and Ingresses.
    """
    if selector.gateway is None:
        service = _service(snapshot, selector)
        if service is not None:
            return _of_service(snapshot, service, selector.port)
    return _of_edge(snapshot, selector)


def _key(name: str, namespace: str) -> str:
    return name if "/" in name else f"{namespace}/{name}"


# -- Services ----------------------------------------------------------------------------


def _service(snapshot: Snapshot, selector: Selector) -> ServiceView | None:
    services = {f"{each.namespace}/{each.name}": each for each in snapshot.services}
    if selector.service is not None:
        key = _key(selector.service, selector.namespace)
        if key not in services:
            key = _dns_key(selector.service, selector.namespace) or key
        if key not in services:
            hint = did_you_mean(key, services)
            raise click.UsageError(f"there is no Service {key}{hint}")
        return services[key]
    found = services.get(_dns_key(selector.host, selector.namespace) or "")
    return found or next((each for each in snapshot.services if selector.host in each.cluster_ips), None)


def _dns_key(host: str, namespace: str) -> str | None:
    """``cart``, ``cart.shop``, ``cart.shop.svc`` and ``cart.shop.svc.cluster.local`` as ``shop/cart``."""
    name, *rest = host.lower().rstrip(".").split(".")
    if rest[1:] not in ([], ["svc"], ["svc", "cluster", "local"]):
        return None
    return f"{rest[0] if rest else namespace}/{name}"


def _of_service(snapshot: Snapshot, service: ServiceView, port: str | None) -> Chosen:
    key = f"{service.namespace}/{service.name}"
    ports = [each for each in service.ports if each.transport is Transport.TCP]
    if port is not None:
        meant = [each for each in ports if port in (each.name, str(each.port))]
        if not meant:
            raise click.UsageError(f"Service {key} has no TCP port {port}; it has {_listed(map(_port, ports))}")
        ports = meant
    choices = [_of_port(snapshot, key, each) for each in ports]
    if not choices:
        raise click.UsageError(f"Service {key} has no TCP port")
    routed = [each for each in choices if each.table is not None] or choices
    if len({each.table.name if each.table is not None else "" for each in routed}) > 1:
        raise click.UsageError(f"Service {key} has several ports with routes; say --port {_listed(map(_port, ports))}")
    return routed[0]


def _port(port: ServicePortView) -> str:
    return f"{port.port} ({port.name})" if port.name else str(port.port)


def _of_port(snapshot: Snapshot, key: str, port: ServicePortView) -> Chosen:
    name = port.name or str(port.port)
    listeners = [
        each
        for each in snapshot.listeners
        if each.service == key and each.port_name == name and each.role not in _EDGES
    ]
    routed = next((each for each in listeners if each.routes), None)
    where = f"Service {key}, port {_port(port)}"
    if routed is None:
        return Chosen(None, where, listeners[0] if listeners else None)
    return Chosen(_table(snapshot, routed), where, routed)


# -- Gateways and Ingresses --------------------------------------------------------------


def _of_edge(snapshot: Snapshot, selector: Selector) -> Chosen:
    edges = [Chosen(_table(snapshot, each), _where(each), each) for each in snapshot.listeners if each.role in _EDGES]
    found = _of_gateway(edges, selector) if selector.gateway is not None else edges
    if selector.port is not None:
        found = [each for each in found if each.listener and str(each.listener.address.port) == selector.port]
    if not found:
        raise click.UsageError(_nothing_there(snapshot, selector, edges))
    for_host = [each for each in found if _has_host(each.table, selector.host)] or found
    different = {each.table.virtual_hosts: each for each in reversed(for_host) if each.table is not None}
    if len(different) > 1:
        there = _listed(each.where for each in different.values())
        raise click.UsageError(f"{selector.host} may go to {there}; say --port or --gateway")
    return for_host[0]


def _of_gateway(edges: Sequence[Chosen], selector: Selector) -> list[Chosen]:
    """Gateways that share an address share its table: each virtual host's name begins with its Gateway's."""
    key = _key(selector.gateway or "", selector.namespace)
    return [
        each
        for each in edges
        if each.table is not None and any(host.name.startswith(f"{key}/") for host in each.table.virtual_hosts)
    ]


def _nothing_there(snapshot: Snapshot, selector: Selector, edges: Sequence[Chosen]) -> str:
    if selector.gateway is not None:
        what = f"no Gateway {_key(selector.gateway, selector.namespace)} listens for HTTP"
    else:
        what = f"{selector.host} is no Service, and no Gateway or Ingress listens for HTTP"
    if selector.port is not None:
        what += f" on port {selector.port}"
    if edges:
        return f"{what}; there is {_listed(each.where for each in edges)}"
    services = sorted({each.service for each in snapshot.listeners if each.routes})
    return f"{what}; say --service {_listed(services)}" if services else what


def _where(listener: Listener) -> str:
    owner = listener.service.replace("/", " ", 1)
    return f"{owner}, {listener.address}"


def _has_host(table: RouteTable | None, host: str) -> bool:
    hosts: HostMap[bool] = HostMap()
    for each in table.virtual_hosts if table is not None else ():
        hosts.setdefault(each.hostname, False, partial(bool, 1))
    return hosts.best(host.encode()) is not None


def _table(snapshot: Snapshot, listener: Listener) -> RouteTable | None:
    return next((each for each in snapshot.route_tables if each.name == listener.routes), None)


def _listed(items: Iterable[str]) -> str:
    return ", ".join(items)
