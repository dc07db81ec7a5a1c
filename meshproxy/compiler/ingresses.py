"""Ingresses → rules at the Proxy's ingress addresses (Kubernetes `networking/v1.Ingress`).

All Ingresses together are one Gateway listener for any hostname, which tries its rules by the most specific host
first. A rule without a host thus is for all requests that no rule for their host matches, and default backends come
after everything. So it is for each server name that an Ingress has TLS for. Where Gateways listen at the same address,
HTTPRoutes come first of rules that tie; a Gateway's listener for a hostname takes those Ingress rules in whose host
meets it, but none that is for any host.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from meshproxy.base.addresses import SocketAddress
from meshproxy.compiler.backends import BackendIndex, Target
from meshproxy.compiler.diagnostics import Diagnostics
from meshproxy.compiler.edges import Edge, EdgeHost, Edges
from meshproxy.compiler.hostnames import coverers
from meshproxy.compiler.ingress_classes import ours
from meshproxy.compiler.ingress_tls import SecureHosts, redirected, secured_names, secures
from meshproxy.compiler.seniority import seniority
from meshproxy.compiler.tls_materials import MaterialIndex
from meshproxy.resources import Ingress, IngressClass, Proxy
from meshproxy.resources.ingress import HTTPIngressPath, IngressBackend, PathType
from meshproxy.snapshot.model import ListenerRole
from meshproxy.snapshot.routes import Backend, PathKind, RouteMatch, Rule

OWNER = "Ingress"
"""The `Listener.service` of an address that only Ingresses use."""


class _IngressRules(NamedTuple):
    ingress: Ingress
    rules: tuple[Rule, ...]

    def in_plain(self, tls_port: int | None) -> Iterator[Rule]:
        """What plain requests meet; those that should come by TLS are sent to `tls_port`, if there is one."""
        names = secured_names(self.ingress) if tls_port is not None else {}
        for rule in self.rules:
            yield redirected(rule, tls_port) if tls_port is not None and secures(names, _host(rule)) else rule


def add_ingresses(
    ingresses: Iterable[Ingress],
    classes: Mapping[str, IngressClass],
    proxy: Proxy,
    edges: Edges,
    backends: BackendIndex,
    materials: MaterialIndex,
    diagnostics: Diagnostics,
) -> None:
    """Add the rules of those Ingresses that are meshproxy's to the edges at the addresses that `proxy` says."""
    mine = sorted((each for each in ingresses if ours(each, classes, diagnostics)), key=seniority)
    if not mine:
        return
    rules = [_IngressRules(each, tuple(_rules(each, backends))) for each in mine]
    last = _default_rules(mine, backends, diagnostics)
    _serve_plain(rules, last, proxy, edges, diagnostics)
    _serve_tls(rules, last, proxy, edges, materials, diagnostics)


def _serve_plain(
    rules: Sequence[_IngressRules],
    last: Sequence[_IngressRules],
    proxy: Proxy,
    edges: Edges,
    diagnostics: Diagnostics,
) -> None:
    said = proxy.spec.ingress
    address = SocketAddress.parse(said.address)
    edge = edges.setdefault(address, Edge(address, OWNER, ListenerRole.INGRESS))
    if edge.secure:
        for each in rules:
            message = f"{edge.owner} has {address} for TLS; plain requests do not get to this Ingress"
            diagnostics.warning(each.ingress, "spec", message)
        return
    port = SocketAddress.parse(said.tls_address).port if said.https_redirect else None
    in_plain, last_in_plain = ([rule for each in part for rule in each.in_plain(port)] for part in (rules, last))
    _fill(edge, (edge.hosts.setdefault("", EdgeHost(OWNER, "")),), in_plain, last_in_plain)


def _serve_tls(
    rules: Sequence[_IngressRules],
    last: Sequence[_IngressRules],
    proxy: Proxy,
    edges: Edges,
    materials: MaterialIndex,
    diagnostics: Diagnostics,
) -> None:
    said = proxy.spec.ingress
    address, default = SocketAddress.parse(said.tls_address), ""
    if said.default_certificate is not None:
        default = materials.certificate_of(proxy, said.default_certificate, "spec.ingress.defaultCertificate")
    tls = SecureHosts([each.ingress for each in rules], default, materials, diagnostics)
    if not tls.is_wanted:
        return
    edge = edges.setdefault(address, Edge(address, OWNER, ListenerRole.INGRESS, secure=True))
    if not edge.secure:
        for each in rules:
            if each.ingress.spec.tls:
                message = f"{edge.owner} has {address} for plain HTTP; this Ingress is not served by TLS"
                diagnostics.warning(each.ingress, "spec.tls", message)
        return
    anywhere = tls.open(edge, OWNER)
    if "" in edge.hosts and edge.hosts[""] not in anywhere:
        anywhere.append(edge.hosts[""])
    _fill(
        edge, anywhere, (rule for each in rules for rule in each.rules), (rule for each in last for rule in each.rules)
    )


def _fill(edge: Edge, anywhere: Collection[EdgeHost], rules: Iterable[Rule], last: Iterable[Rule]) -> None:
    """Add `rules` to the hosts of `edge` that they are for, those for any host to the ones `anywhere`; then `last`.

    A rule is for the most specific host that covers its own, and for those that a wildcard of its own covers.
    """
    covered: dict[str, list[EdgeHost]] = {}
    for name, host in edge.hosts.items():
        for pattern in coverers(name):
            covered.setdefault(pattern, []).append(host)
    for rule in rules:
        homes = anywhere
        if hostname := _host(rule):
            best = next((edge.hosts[each] for each in coverers(hostname) if each in edge.hosts), None)
            homes = dict.fromkeys((*filter(None, (best,)), *covered.get(hostname, ())))
        for host in homes:
            host.rules.append(rule)
    for rule in last:
        for host in anywhere:
            host.rules.append(rule)


def _host(rule: Rule) -> str:
    return rule.hostnames[0] if rule.hostnames else ""


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


def _default_rules(
    ingresses: Iterable[Ingress], backends: BackendIndex, diagnostics: Diagnostics
) -> tuple[_IngressRules, ...]:
    """The default backend: there can be one only, the oldest Ingress' that has one."""
    having = [each for each in ingresses if each.spec.default_backend is not None]
    for ingress in having[1:]:
        message = f"{having[0].label} has one already, and comes first; no request reaches this one"
        diagnostics.warning(ingress, "spec.defaultBackend", message)
    return tuple(_IngressRules(each, (_default_rule(each, backends),)) for each in having[:1])


def _default_rule(ingress: Ingress, backends: BackendIndex) -> Rule:
    assert ingress.spec.default_backend is not None
    return Rule(
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
