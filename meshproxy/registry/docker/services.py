"""The Service that its containers' labels ask for: Services, a TrafficPolicy, an HTTPRoute."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from meshproxy.base.errors import Finding, Severity, errors_in
from meshproxy.base.names import NamespacedName
from meshproxy.compiler.app_protocols import is_unspoken
from meshproxy.loader.explain import decode_special
from meshproxy.loader.rules import check
from meshproxy.registry.docker.labels import MAIN_PORT, SERVICE_LABEL, STABLE, VARIANT_LABEL, PortLabels
from meshproxy.registry.docker.members import Agreement, Member
from meshproxy.registry.docker.routes import is_trivial, make_rules, overbooked
from meshproxy.registry.docker.variants import Variant, find_variants
from meshproxy.resources import HTTPRoute, ObjectMeta, Service, TrafficPolicy, Workload
from meshproxy.resources.http_route import GATEWAY_GROUP, HTTPRouteSpec, ParentReference
from meshproxy.resources.meta import Resource
from meshproxy.resources.policy import (
    HealthCheck,
    HTTPHealthCheck,
    LoadBalancing,
    TargetRef,
    TCPHealthCheck,
    TrafficPolicySpec,
)
from meshproxy.resources.service import Protocol, ServicePort, ServiceSpec

_TRANSPORTS = ("tcp", "udp")
_HEALTH_FIELDS = {"unhealthy-threshold": "unhealthyThreshold", "healthy-threshold": "healthyThreshold"}


class Described(NamedTuple):
    """What the containers of one Service lead to; `workloads` say their variant."""

    workloads: tuple[Workload, ...]
    resources: tuple[Resource, ...]
    findings: tuple[Finding, ...]


def describe_service(key: NamespacedName, members: Sequence[Member], taken: frozenset[str], gateway: str) -> Described:
    """`taken` are the names of the Services of this namespace; `gateway` is for hosts whose containers name none."""
    agreement = Agreement(_label(key), members)
    variants, names = find_variants(key.name, members, agreement, taken)
    ports = _ports(agreement)
    resources: list[Resource] = [
        _service(key, name, service, ports)
        for name, service in {STABLE: key.name, **{each.name: each.service for each in variants}}.items()
    ]
    resources.extend(_policy(key, agreement, resources))
    resources.extend(_route(key, agreement, variants, ports, gateway))
    findings = agreement.findings
    sound = tuple(_sound(resources, findings))
    workloads = tuple(_with_variant(member, names[member.container.id]) for member in members)
    return Described(workloads, sound, tuple(findings))


def _label(key: NamespacedName) -> str:
    return Service(api_version="v1", kind="Service", metadata=_meta(key, key.name)).label


def _meta(key: NamespacedName, name: str) -> ObjectMeta:
    return ObjectMeta(name=name, namespace=key.namespace)


def _with_variant(member: Member, variant: str) -> Workload:
    meta = member.workload.metadata
    labels = {**meta.labels, SERVICE_LABEL: member.labels.service, VARIANT_LABEL: variant}
    return msgspec.structs.replace(member.workload, metadata=msgspec.structs.replace(meta, labels=labels))


def _service(key: NamespacedName, variant: str, name: str, ports: tuple[ServicePort, ...]) -> Service:
    selector = {SERVICE_LABEL: key.name, VARIANT_LABEL: variant}
    return Service(
        api_version="v1", kind="Service", metadata=_meta(key, name), spec=ServiceSpec(ports=ports, selector=selector)
    )


# -- ports ------------------------------------------------------------------------------


def _ports(agreement: Agreement) -> tuple[ServicePort, ...]:
    """Each port is reached by its name: containers may listen on different numbers."""
    names = sorted({port.name for member in agreement.members for port in member.labels.ports})
    return tuple(_port(agreement, name, alone=len(names) == 1) for name in names)


def _port(agreement: Agreement, name: str, *, alone: bool) -> ServicePort:
    suffix = f".{name}" if name else ""
    target = name or MAIN_PORT

    def written(member: Member) -> PortLabels:
        return next((port for port in member.labels.ports if port.name == name), PortLabels())

    number = agreement.on(f"service-port{suffix}", lambda member: written(member).service_port)
    if number is None:
        number = agreement.on(f"port{suffix}", lambda member: member.ports.get(target))
    protocol = agreement.on(f"protocol{suffix}", lambda member: written(member).protocol)
    return ServicePort(
        name="" if alone and not name else target,
        port=number or 0,
        protocol=Protocol.UDP if protocol == "udp" else Protocol.TCP,
        target_port=target,
        app_protocol=None if protocol == "udp" else protocol,
    )


def _main_port(ports: Sequence[ServicePort]) -> ServicePort | None:
    """The port that routing labels are about."""
    if len(ports) == 1:
        return ports[0]
    by_target = {port.target_port: port for port in ports}
    return by_target.get(MAIN_PORT) or by_target.get("http")


# -- policy -----------------------------------------------------------------------------


def _policy(key: NamespacedName, agreement: Agreement, services: Sequence[Resource]) -> Iterator[TrafficPolicy]:
    algorithm = agreement.on("algorithm", lambda member: member.labels.algorithm)
    health = agreement.on("health", lambda member: member.labels.health or None)
    if algorithm is None and health is None:
        return
    yield TrafficPolicy(
        api_version="meshproxy.dev/v1",
        kind="TrafficPolicy",
        metadata=_meta(key, key.name),
        spec=TrafficPolicySpec(
            target_refs=tuple(TargetRef(kind="Service", name=service.metadata.name) for service in services),
            load_balancing=LoadBalancing() if algorithm is None else LoadBalancing(algorithm=algorithm),
            health_check=_health_check(health, agreement) if health else None,
        ),
    )


def _health_check(texts: tuple[tuple[str, str], ...], agreement: Agreement) -> HealthCheck | None:
    """None, and a finding, where a value is none of its kind."""
    written = dict(texts)
    document: dict[str, Any] = {_HEALTH_FIELDS.get(name, name): value for name, value in written.items()}
    http = {name: document.pop(name) for name in ("path", "host") if name in document}
    tcp = document.pop("tcp", "false").lower() == "true"
    try:
        check = msgspec.convert(document, HealthCheck, strict=False, dec_hook=decode_special)
    except msgspec.ValidationError as error:
        agreement.warn("health", f"is not understood, so that nothing is checked: {error}")
        return None
    return msgspec.structs.replace(
        check,
        http=HTTPHealthCheck(**http) if http else None,
        tcp=TCPHealthCheck() if tcp else None,
    )


# -- route ------------------------------------------------------------------------------


def _route(
    key: NamespacedName,
    agreement: Agreement,
    variants: Sequence[Variant],
    ports: Sequence[ServicePort],
    gateway: str,
) -> Iterator[HTTPRoute]:
    hosts = agreement.on("host", lambda member: member.labels.hosts or None) or ()
    gateway = agreement.on("gateway", lambda member: member.labels.gateway or None) or gateway
    if not hosts and [each.service for each in variants] == [key.name] and not variants[0].routing.matches:
        return
    port = _main_port(ports)
    problem = _no_route(port)
    if problem or port is None:
        agreement.warn("path, header, canary-weight, mirror, host …", problem)
        return
    for canary in overbooked(variants):
        message = f"canaries together want more than 100 %: {canary.service} wants {canary.routing.canary_weight} %"
        agreement.warn("canary-weight", f"{message}; the rest gets nothing")
    rules = make_rules(variants, port.port)
    parents = (
        []
        if is_trivial(rules, key.name)
        else [ParentReference(group="", kind="Service", name=key.name, port=port.port)]
    )
    if hosts and not gateway:
        agreement.warn("host", "needs a Gateway: name one with meshproxy.dev/gateway, or in the source's gateway")
    elif hosts:
        namespace, _, name = gateway.rpartition("/")
        parents.append(ParentReference(group=GATEWAY_GROUP, name=name, namespace=namespace or None))
    if parents and rules:
        yield HTTPRoute(
            api_version="gateway.networking.k8s.io/v1",
            kind="HTTPRoute",
            metadata=_meta(key, key.name),
            spec=HTTPRouteSpec(parent_refs=tuple(parents), hostnames=hosts if gateway else (), rules=rules),
        )


def _no_route(port: ServicePort | None) -> str:
    """Why requests cannot be told apart."""
    if port is None:
        return "is about the port without a name, or the one called http; this Service has neither"
    spoken = "udp" if port.protocol is Protocol.UDP else port.app_protocol
    if spoken in _TRANSPORTS or is_unspoken(port):
        return f"is for HTTP/1.1; the port's protocol is {spoken}, and only the stable containers have its traffic"
    return ""


def _sound(resources: Sequence[Resource], findings: list[Finding]) -> Iterator[Resource]:
    """Those that a file could hold. What a label can do wrong is said where it is read; this is for the rest."""
    for resource in resources:
        errors = errors_in(check(resource))
        if not errors:
            yield resource
        for error in errors:
            message = f"cannot be made of its containers' labels: {error.message}"
            findings.append(
                Finding(severity=Severity.WARNING, resource=resource.label, field=error.field, message=message)
            )
