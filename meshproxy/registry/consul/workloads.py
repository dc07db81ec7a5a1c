"""From what Consul's catalogue says about a service to Workloads and a Service. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import NamedTuple

from meshproxy.base.addresses import is_host_name
from meshproxy.base.errors import Finding, Severity
from meshproxy.base.stable_hash import content_version
from meshproxy.loader.rules import values
from meshproxy.registry.consul.entries import Instance, Status
from meshproxy.resources import ObjectMeta, Service, Workload
from meshproxy.resources.service import ServicePort, ServiceSpec
from meshproxy.resources.sources import ConsulImport, ConsulSource, ServicesWithTag
from meshproxy.resources.workload import DEFAULT_WEIGHT, WorkloadMesh, WorkloadSpec

API_VERSION = "meshproxy.dev/v1"
PREFIX = "meshproxy.dev/"
"""Begins our instructions in tags. In meta it is ``meshproxy-``: Consul allows no dot or slash in a meta key."""
META_PREFIX = "meshproxy-"
SERVICE_LABEL = PREFIX + "consul-service"
"""The label that imported Services select by."""
TAG_PREFIX = "tag." + PREFIX
"""Begins the labels that tags become which are no ``key=value``."""
MESH_PORT, SERVICE_ACCOUNT = "mesh-port", "service-account"
MAIN_PORT = "default"
"""The name of an instance's port."""
OWN_SERVICE = "consul"
"""Consul's servers themselves: of no interest unless someone asks for them."""
MAX_WEIGHT = 65535
MAX_FINDINGS = 20
"""Said about one service: a thousand bad instances are bad for one reason."""

_NOT_IN_LABELS = re.compile(r"[^a-z0-9-]+")


class Found(NamedTuple):
    """What one Consul service gives."""

    workloads: tuple[Workload, ...] = ()
    service: Service | None = None
    findings: tuple[Finding, ...] = ()


NOTHING = Found()


def is_wanted(name: str, spec: ConsulSource) -> bool:
    """Whether the instances of service `name` matter at all."""
    return name != OWN_SERVICE or _is_listed(name, spec.import_)


def is_imported(name: str, tags: Iterable[str], wanted: ConsulImport) -> bool:
    """Whether service `name`, of which instances have `tags`, becomes a Service."""
    if isinstance(wanted.services, ServicesWithTag):
        return wanted.services.tag in tags
    return wanted.services == "all" or _is_listed(name, wanted)


def _is_listed(name: str, wanted: ConsulImport) -> bool:
    return isinstance(wanted.services, tuple) and name in wanted.services


def convert(name: str, instances: Iterable[Instance], spec: ConsulSource, before: Found = NOTHING) -> Found:
    """What service `name` is, by its instances. What did not change is the object that it was `before`."""
    wanted = set(spec.tags)
    considered = [each for each in instances if not each.service.kind and wanted <= set(each.service.tags or ())]
    service_name = resource_name(name, label=True)
    findings: list[Finding] = []
    known = {workload.metadata.name: workload for workload in before.workloads}
    scale = _weight_scale(considered)
    workloads: dict[str, Workload] = {}
    instructions: list[Mapping[str, str]] = []
    for instance in considered:
        told = _instructions(instance)
        made = _workload(instance, told, spec.namespace, service_name, scale)
        if isinstance(made, Finding):
            findings.append(made)
            continue
        old = known.get(made.metadata.name)
        workloads[made.metadata.name] = old if old == made else made
        instructions.append(told)
    ordered = tuple(workloads[key] for key in sorted(workloads))
    tags = {tag for each in considered for tag in each.service.tags or ()}
    service = None
    if ordered and is_imported(name, tags, spec.import_):
        service = _service(service_name, spec, ordered, instructions, findings)
        service = before.service if before.service == service else service
    return Found(ordered, service, _few(findings, name))


def resource_name(text: str, *, label: bool = False) -> str:
    """A Kubernetes name for `text`, a DNS label or subdomain.

    What has to change for that gets a hash, so that names that differed still do.
    """
    limit = 63 if label else 253
    written = [text.lower()] if label else text.lower().split(".")
    parts = (_NOT_IN_LABELS.sub("-", part).strip("-") for part in written)
    clean = ".".join(part for part in parts if part)
    if clean and clean == text and len(clean) <= limit:
        return clean
    digest = content_version(text.encode("utf-8", "surrogatepass"))[:8]
    return f"{clean[: limit - 9].strip('.-')}-{digest}".lstrip("-")


# -- workloads ---------------------------------------------------------------------------


def _workload(
    instance: Instance, told: Mapping[str, str], namespace: str, service_name: str, scale: int
) -> Workload | Finding:
    """The Workload that `instance` is, or why it is none."""
    service, node = instance.service, instance.node
    identity, address = f"{service.id or service.service}.{node.node}", service.address or node.address
    weight = _weight(instance, told, scale)
    problem = next(_problems(address, service.port, weight, told), None)
    if problem is not None or isinstance(weight, str):
        return _finding(identity, f"{problem}; this instance is left out")
    spec = WorkloadSpec(
        address=address,
        addresses=_more_addresses(address, service.tagged_addresses or {}),
        ports=dict.fromkeys((MAIN_PORT, *_port_names(told)), service.port) if service.port else {},
        weight=weight,
        zone=_zone(instance, told),
        node_name=node.node or None,
        service_account=told.get(SERVICE_ACCOUNT),
        ready=instance.status is not Status.CRITICAL,
        terminating=instance.in_maintenance,
        mesh=WorkloadMesh(port=int(told[MESH_PORT])) if MESH_PORT in told else None,
    )
    metadata = ObjectMeta(name=resource_name(identity), namespace=namespace, labels=_labels(instance, service_name))
    return Workload(api_version=API_VERSION, kind="Workload", metadata=metadata, spec=spec)


def _problems(address: str, port: int, weight: int | str, told: Mapping[str, str]) -> Iterator[str]:
    """What keeps an instance from being used. What is said about the mesh and is wrong does not mean: in clear."""
    wrong = values.host(address)
    if wrong is not None:
        yield wrong
    if not 0 <= port <= 65535:
        yield f"{port} is no port"
    if isinstance(weight, str):
        yield weight
    mesh_port, account = told.get(MESH_PORT), told.get(SERVICE_ACCOUNT)
    if mesh_port is not None and values.port_number(_number(mesh_port) or 0) is not None:
        yield f"{MESH_PORT} {values.quote(mesh_port)} is no port"
    if account is not None and values.dns_subdomain(account) is not None:
        yield f"{SERVICE_ACCOUNT} {values.quote(account)} is no name"


def _more_addresses(first: str, tagged: Mapping[str, object]) -> tuple[str, ...]:
    """Of the other IP family: Consul keeps both as tagged addresses."""
    if is_host_name(first):
        return ()
    version = ip_address(first).version
    found = []
    for key in ("lan_ipv4", "lan_ipv6"):
        value = tagged.get(key)
        address = value.get("Address") if isinstance(value, Mapping) else value
        if not isinstance(address, str) or values.unicast_address(address) is not None:
            continue
        if ip_address(address).version != version:
            found.append(address)
    return tuple(found)


def _labels(instance: Instance, service_name: str) -> dict[str, str]:
    """Tags, then meta, then what the service is called, each going before the ones before it."""
    service = instance.service
    labels: dict[str, str] = {}
    for tag in service.tags or ():
        key, equals, value = tag.partition("=")
        labels.update({key: value} if equals else {TAG_PREFIX + tag: "true"})
    labels = {"app": service.service} | labels | dict(service.meta or {})
    valid = {
        key: value
        for key, value in labels.items()
        if not key.startswith((PREFIX, META_PREFIX))
        and values.label_key(key) is None
        and values.label_value(value) is None
    }
    return valid | {SERVICE_LABEL: service_name}


def _instructions(instance: Instance) -> dict[str, str]:
    """What tags ``meshproxy.dev/NAME=VALUE`` and meta ``meshproxy-NAME`` say, by NAME; meta goes first."""
    told = {}
    for tag in instance.service.tags or ():
        key, equals, value = tag.partition("=")
        if equals and key.startswith(PREFIX):
            told[key.removeprefix(PREFIX)] = value
    for key, value in (instance.service.meta or {}).items():
        if key.startswith(META_PREFIX):
            told[key.removeprefix(META_PREFIX)] = value
    return told


def _port_names(told: Mapping[str, str]) -> list[str]:
    return [name for key in ("port-name", "protocol") if (name := told.get(key)) and values.port_name(name) is None]


def _zone(instance: Instance, told: Mapping[str, str]) -> str | None:
    service, node = instance.service, instance.node
    localities = (each.zone for each in (service.locality, node.locality) if each is not None)
    metas = (meta.get("zone") for meta in (service.meta, node.meta) if meta)
    zones = (told.get("zone"), *localities, *metas)
    return next((zone for zone in zones if zone), None)


def _weight_scale(instances: Sequence[Instance]) -> int:
    """Consul's weights begin at 1 and ours at 100, so that both can be mixed; unless that would be too much."""
    weights = (each.service.weights for each in instances)
    largest = max((max(each.passing, each.warning) for each in weights if each is not None), default=1)
    return DEFAULT_WEIGHT if largest * DEFAULT_WEIGHT <= MAX_WEIGHT else 1


def _weight(instance: Instance, told: Mapping[str, str], scale: int) -> int | str:
    """The weight, or what is wrong with it. A warning has a weight of its own."""
    if "weight" in told:
        weight = _number(told["weight"])
        return weight if weight is not None and weight <= MAX_WEIGHT else f"weight {told['weight'][:20]!r} is none"
    weights = instance.service.weights
    if weights is None:
        return DEFAULT_WEIGHT
    weight = scale * (weights.warning if instance.status is Status.WARNING else weights.passing)
    return weight if 0 <= weight <= MAX_WEIGHT else f"weight {weight} is out of range"


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


# -- services ----------------------------------------------------------------------------


def _service(
    name: str,
    spec: ConsulSource,
    workloads: Sequence[Workload],
    instructions: Sequence[Mapping[str, str]],
    findings: list[Finding],
) -> Service | None:
    """The Service that leads to `workloads`; None where nobody knows a port."""
    port = _port(name, spec, workloads, instructions, findings)
    if port is None:
        findings.append(_finding(name, "no instance has a port, so that there is no Service of this name"))
        return None
    protocol = _one("protocol", name, instructions, findings)
    if protocol is not None and values.app_protocol(protocol) is not None:
        findings.append(_finding(name, f"protocol {values.quote(protocol)} is none; it is left out"))
        protocol = None
    ports = (ServicePort(port=port, target_port=MAIN_PORT, app_protocol=protocol),)
    return Service(
        api_version="v1",
        kind="Service",
        metadata=ObjectMeta(name=name, namespace=spec.namespace, labels={SERVICE_LABEL: name}),
        spec=ServiceSpec(selector={SERVICE_LABEL: name}, ports=ports),
    )


def _port(
    name: str,
    spec: ConsulSource,
    workloads: Sequence[Workload],
    instructions: Sequence[Mapping[str, str]],
    findings: list[Finding],
) -> int | None:
    written = _one("port", name, instructions, findings)
    if written is not None:
        number = _number(written)
        if number is not None and values.port_number(number) is None:
            return number
        findings.append(_finding(name, f"port {values.quote(written)} is none; the instances' own is used"))
    if spec.import_.port is not None:
        return spec.import_.port
    counted = Counter(workload.spec.ports[MAIN_PORT] for workload in workloads if workload.spec.ports)
    # The most frequent one, of several the lowest: an instance that comes or goes seldom moves it.
    return min(counted, key=lambda port: (-counted[port], port), default=None)


def _one(key: str, name: str, instructions: Sequence[Mapping[str, str]], findings: list[Finding]) -> str | None:
    """What the instances say about their service; where they differ, what most of them do."""
    said = Counter(each[key] for each in instructions if key in each)
    if not said:
        return None
    chosen = min(said, key=lambda value: (-said[value], value))
    if len(said) > 1:
        others = ", ".join(values.quote(value) for value in sorted(said)[:5] if value != chosen)
        message = f"instances differ on {key}: {values.quote(chosen)} is used, not {others}"
        findings.append(_finding(name, message))
    return chosen


def _finding(resource: str, message: str) -> Finding:
    name = resource if len(resource) <= 100 else resource[:100] + "…"
    return Finding(severity=Severity.WARNING, resource=f"consul/{name}", message=message)


def _few(findings: Sequence[Finding], name: str) -> tuple[Finding, ...]:
    if len(findings) <= MAX_FINDINGS:
        return tuple(findings)
    more = len(findings) - MAX_FINDINGS
    return (*findings[:MAX_FINDINGS], _finding(name, f"and {more} more of the kind"))
