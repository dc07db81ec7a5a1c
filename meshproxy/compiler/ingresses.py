"""Ingresses → rules at the Proxy's ingress address (Kubernetes `networking/v1.Ingress`).

All Ingresses together are one Gateway listener for any hostname, which tries its rules by the most specific host
first. A rule without a host thus is for all requests that no rule for their host matches, and default backends come
after everything. Where Gateways listen at the same address, HTTPRoutes come first of rules that tie; a Gateway's
listener for a hostname takes those Ingress rules in whose host meets it, but none that is for any host.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from meshproxy.base.addresses import SocketAddress
from meshproxy.compiler.backends import BackendIndex, Target
from meshproxy.compiler.diagnostics import Diagnostics
from meshproxy.compiler.edges import Edge, EdgeHost, Edges
from meshproxy.compiler.hostnames import meet
from meshproxy.compiler.ingress_classes import ours
from meshproxy.compiler.seniority import seniority
from meshproxy.resources import Ingress, IngressClass
from meshproxy.resources.ingress import HTTPIngressPath, IngressBackend, PathType
from meshproxy.snapshot.model import ListenerRole
from meshproxy.snapshot.routes import Backend, PathKind, RouteMatch, Rule

OWNER = "Ingress"
"""The `Listener.service` of an address that only Ingresses use."""


def add_ingresses(
    ingresses: Iterable[Ingress],
    classes: Mapping[str, IngressClass],
    address: SocketAddress,
    edges: Edges,
    backends: BackendIndex,
    diagnostics: Diagnostics,
) -> None:
    """Add the rules of those Ingresses that are meshproxy's to the edge at `address`, which is made for them."""
    mine = sorted((each for each in ingresses if ours(each, classes, diagnostics)), key=seniority)
    if not mine:
        return
    edge = edges.setdefault(address, Edge(address, OWNER, ListenerRole.INGRESS))
    if edge.secure:
        for each in mine:
            diagnostics.warning(each, "spec", f"{edge.owner} has {address} for TLS; this Ingress does nothing")
        return
    edge.hosts.setdefault("", EdgeHost(OWNER, ""))
    rules = [rule for ingress in mine for rule in _rules(ingress, backends)]
    for host in edge.hosts.values():
        host.rules.extend(rule for rule in rules if _is_for(rule, host.hostname))
    edge.hosts[""].rules.extend(_default_rules(mine, backends, diagnostics))


def _is_for(rule: Rule, hostname: str) -> bool:
    return not hostname or any(meet(hostname, each) for each in rule.hostnames)


def _rules(ingress: Ingress, backends: BackendIndex) -> Iterator[Rule]:
    for number, rule in enumerate(ingress.spec.rules):
        for index, path in enumerate(rule.http.paths if rule.http is not None else ()):
            field = f"spec.rules[{number}].http.paths[{index}].backend"
            yield Rule(
                name=f"{ingress.key}/{number}:{index}",
                route=f"Ingress/{ingress.key}",
                hostnames=(rule.host.lower(),) if rule.host else (),
                single_label_wildcards=bool(rule.host and rule.host.startswith("*.")),
                matches=(_match(path),),
                backends=(_backend(ingress, path.backend, field, backends),),
            )


def _default_rules(ingresses: Iterable[Ingress], backends: BackendIndex, diagnostics: Diagnostics) -> Iterator[Rule]:
    """The default backend: there can be one only, the oldest Ingress' that has one."""
    first: Ingress | None = None
    for ingress in ingresses:
        if ingress.spec.default_backend is None:
            continue
        if first is not None:
            message = f"{first.label} has one already, and comes first; no request reaches this one"
            diagnostics.warning(ingress, "spec.defaultBackend", message)
            continue
        first = ingress
        yield Rule(
            name=f"{ingress.key}/defaultBackend",
            route=f"Ingress/{ingress.key}",
            backends=(_backend(ingress, ingress.spec.default_backend, "spec.defaultBackend", backends),),
        )


def _match(path: HTTPIngressPath) -> RouteMatch:
    kind = PathKind.EXACT if path.path_type is PathType.EXACT else PathKind.PREFIX
    return RouteMatch(path_kind=kind, path=path.path if path.path.startswith("/") else f"/{path.path}")


def _backend(ingress: Ingress, backend: IngressBackend, field: str, backends: BackendIndex) -> Backend:
    if backend.service is None:  # the loader says so
        target = Target("", problem="a resource as a backend is not supported")
    else:
        target = backends.of_ingress(ingress, backend.service, f"{field}.service")
    return Backend(cluster=target.cluster, label=target.label, problem=target.problem)
