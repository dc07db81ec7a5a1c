"""The names that a snapshot gives, pure: labels and a type in, records and why out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import ip_address
from itertools import chain, islice
from typing import NamedTuple

from meshproxy.base.stable_hash import stable_hash
from meshproxy.dns import names
from meshproxy.dns.names import Asked, Kind, Labels
from meshproxy.snapshot.model import DNSSettings, Endpoint, ServicePortView, ServiceView, Snapshot

SCHEMA_VERSION = "1.1.0"
"""Of Kubernetes DNS-Based Service Discovery."""
MAX_RECORDS = 1000
"""In one answer: more are no use to a client, and 65,535 bytes hold 4,000 addresses at best."""
MAX_ADDITIONAL = 100
"""Targets whose addresses come with them; they are a help only (RFC 2782)."""
SRV_PRIORITY, SRV_WEIGHT = 0, 100

Usable = Callable[[str, str], bool]
"""Whether an endpoint, by (cluster, endpoint id), is healthy or not checked."""
ServiceKey = tuple[str, str]
"""(namespace, name)."""


class Record(NamedTuple):
    """A resource record as a zone file has it: `owner` is absolute, `data` the presentation of its content."""

    owner: str
    type: str
    data: str


class Local(NamedTuple):
    """What a snapshot says to a question.

    Without `records` the name has none of that type, or, where it does not `exist`, is not there at all;
    `origin` is the zone whose SOA says so. `alias` is the external name whose addresses are asked for.
    `reason` is for people, and `service` what it is about.
    """

    reason: str
    origin: Labels
    records: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    exists: bool = True
    alias: str = ""
    service: ServiceKey | None = None


class _Hosts(NamedTuple):
    """The endpoints of a headless Service that are ready, also by their labels, and how many there are in `all`."""

    addresses: list[str]
    named: dict[str, list[str]]
    all: int


class _Target(NamedTuple):
    """What a SRV record says, and the address of its host."""

    priority: int
    weight: int
    port: int
    host: str
    address: str


class Zone:
    """A snapshot's names under the domain of `settings`; `health_changed` says that `usable` has other answers."""

    def __init__(self, snapshot: Snapshot, settings: DNSSettings, usable: Usable) -> None:
        self.domain = names.labels_of(settings.domain)
        self.ttl = settings.ttl
        self.namespace = snapshot.settings.namespace
        self.serial = stable_hash(snapshot.version) & 0xFFFFFFFF
        self.services: Mapping[ServiceKey, ServiceView] = {
            (each.namespace, each.name): each for each in snapshot.services
        }
        self._namespaces = frozenset(each.namespace for each in snapshot.services)
        self._usable = usable
        headless = {f"{each.namespace}/{each.name}" for each in snapshot.services if each.headless}
        self._clusters: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        self._panics = frozenset(each.name for each in snapshot.clusters if each.use_all_when_none_healthy)
        for cluster in snapshot.clusters:
            if cluster.service in headless:
                self._clusters[cluster.service, cluster.port_name].append(cluster.name)
        self.headless_clusters = frozenset(name for found in self._clusters.values() for name in found)
        self._endpoints = {
            each.cluster: each.endpoints for each in snapshot.assignments if each.cluster in self.headless_clusters
        }
        self._owners = self._owners_of_addresses()
        self._known_hosts: dict[ServiceKey, _Hosts] = {}

    def health_changed(self) -> None:
        self._known_hosts.clear()

    def says_the_same_as(self, other: Zone) -> bool:
        """Whether every question has the same answer, health apart."""
        return self._content() == other._content()

    def _content(self) -> tuple[object, ...]:
        answered = {
            key: (each.cluster_ips, each.external_name, each.headless, each.ports, each.hosts)
            for key, each in self.services.items()
        }
        return self.domain, self.ttl, self.namespace, answered, self._endpoints, self._panics & self.headless_clusters

    # -- questions -----------------------------------------------------------------------

    def answer(self, labels: Labels, kind: str) -> Local | None:
        """What is said to a question of type `kind` (``A``, ``SRV``, ``ANY`` …); None where it is not ours to say."""
        asked = names.under_domain(labels, self.domain)
        if asked is not None:
            short = self._short(labels) if asked.origin == names.SERVICES and asked.kind is Kind.NAMESPACE else None
            return self._certain(short or asked, labels, kind)
        short = self._short(labels)
        if short is not None:
            return self._of_service(self.services[short.namespace, short.service], short, labels, kind)
        address = names.reverse_address(labels)
        return self._reverse(address, labels, kind) if address is not None else None

    def _short(self, labels: Labels) -> Asked | None:
        """The Service that a name without a domain means, if there is one."""
        for asked in names.short_forms(labels, self.namespace):
            service = self.services.get((asked.namespace, asked.service))
            if service is not None and (not asked.rest or self._has(service, asked.rest)):
                return asked
        return None

    def _certain(self, asked: Asked, labels: Labels, kind: str) -> Local:
        match asked.kind:
            case Kind.SERVICE:
                service = self.services.get((asked.namespace, asked.service))
                if service is not None:
                    return self._of_service(service, asked, labels, kind)
                reason = f"there is no Service {asked.service} in namespace {asked.namespace}"
            case Kind.NAMESPACE if asked.namespace in self._namespaces:
                return Local(
                    "it names a namespace, which has no addresses; put a Service's name before it", asked.origin
                )
            case Kind.NAMESPACE:
                reason = f"there is no Service in namespace {asked.namespace}"
            case Kind.VERSION:
                record = Record(names.text_of(labels), "TXT", SCHEMA_VERSION)
                return _of_type("the version of Kubernetes' DNS schema", asked.origin, kind, record)
            case Kind.APEX | Kind.SERVICES:
                return Local("it is the domain of the Services itself", asked.origin)
            case _:
                reason = f"below {names.text_of(self.domain)} there are only names that end in svc"
        return Local(reason, asked.origin, exists=False)

    def _reverse(self, address: str, labels: Labels, kind: str) -> Local | None:
        owner = self._owners.get(address)
        if owner is None:
            return None
        service, host = owner
        key = (service.namespace, service.name)
        target = self._full_name(service) if host is None else f"{host}.{self._full_name(service)}"
        reason = f"{address} belongs to {_label(service)}"
        return _of_type(reason, labels, kind, Record(names.text_of(labels), "PTR", target))._replace(service=key)

    # -- a Service -----------------------------------------------------------------------

    def _of_service(self, service: ServiceView, asked: Asked, labels: Labels, kind: str) -> Local:
        found = self._below(service, asked, labels, kind) if asked.rest else self._itself(service, asked, labels, kind)
        return found._replace(service=(service.namespace, service.name))

    def _itself(self, service: ServiceView, asked: Asked, labels: Labels, kind: str) -> Local:
        owner = names.text_of(labels)
        if service.external_name:
            return self._external(service, asked, owner, kind)
        if kind == "SRV":  # as CoreDNS and Consul do: of ports without a name there is no other record
            targets = chain.from_iterable(self._srv_targets(service, port) for port in service.ports)
            return _of_targets(f"{_label(service)}: all of its ports", asked.origin, owner, kind, targets)
        if service.headless:
            hosts = self._hosts(service)
            addresses = hosts.addresses[:MAX_RECORDS]
            what = f"it is headless: {len(hosts.addresses)} of {hosts.all} endpoints are ready and healthy"
        else:
            addresses = list(service.cluster_ips)
            what = "its virtual IP" if len(addresses) == 1 else "its virtual IPs"
        return _of_addresses(f"{_label(service)}: {what}", asked.origin, owner, addresses, kind)

    def _external(self, service: ServiceView, asked: Asked, owner: str, kind: str) -> Local:
        target = service.external_name.rstrip(".").lower()
        reason = f"{_label(service)}: another name for {target}"
        if _is_address(target):  # as CoreDNS does; Kubernetes advises against it
            return _of_addresses(reason, asked.origin, owner, [target], kind)
        alias = target if kind not in ("CNAME", "ANY") else ""
        return Local(reason, asked.origin, (Record(owner, "CNAME", f"{target}."),), alias=alias)

    def _below(self, service: ServiceView, asked: Asked, labels: Labels, kind: str) -> Local:
        rest, origin = asked.rest, asked.origin
        if rest[-1].startswith("_"):
            return self._of_port(service, asked, labels, kind)
        addresses = self._hosts(service).named.get(rest[0], []) if len(rest) == 1 else []
        if not addresses:
            reason = f"{_label(service)} has no endpoint {'.'.join(rest)} that is ready and healthy"
            if not service.headless:
                reason = f"{_label(service)} has no names below it: it is not headless"
            return Local(reason, origin, exists=False)
        return _of_addresses(
            f"an endpoint of {_label(service)}", origin, names.text_of(labels), sorted(addresses), kind
        )

    def _has(self, service: ServiceView, rest: Labels) -> bool:
        """Whether `rest` means something below `service`."""
        if rest[-1].startswith("_"):
            return len(rest) <= 2 and any(_matches(port, rest) for port in service.ports)
        return len(rest) == 1 and service.headless and rest[0] in self._hosts(service).named

    # -- ports (SRV) ---------------------------------------------------------------------

    def _of_port(self, service: ServiceView, asked: Asked, labels: Labels, kind: str) -> Local:
        origin = asked.origin
        port = next((each for each in service.ports if _matches(each, asked.rest)), None)
        if port is None or len(asked.rest) > 2:
            ports = ", ".join(f"_{each.name}._{each.transport.value.lower()}" for each in service.ports if each.name)
            reason = f"{_label(service)} has no such port; its named ports are {ports or '(none)'}"
            return Local(f"{reason}, and the SRV record of its own name has all of them", origin, exists=False)
        if len(asked.rest) == 1:
            return Local(f"it is no port of {_label(service)}; ask _{port.name}.{names.text_of(labels)}", origin)
        reason = f"port {port.name} of {_label(service)}"
        return _of_targets(reason, origin, names.text_of(labels), kind, self._srv_targets(service, port))

    def _srv_targets(self, service: ServiceView, port: ServicePortView) -> Iterator[_Target]:
        """Where the port is; of targets of two families there is one for each."""
        base = self._full_name(service)
        if not service.headless:
            for address in service.cluster_ips:
                yield _Target(SRV_PRIORITY, SRV_WEIGHT, port.port, base, address)
            return
        for cluster in self._clusters_of(service, port):
            for endpoint, ready in self._readiness(cluster):
                if ready:
                    there, host = endpoint.address, f"{_host(endpoint)}.{base}"
                    yield _Target(endpoint.priority, endpoint.weight, there.port, host, there.host)

    # -- endpoints of headless Services --------------------------------------------------

    def _clusters_of(self, service: ServiceView, port: ServicePortView) -> list[str]:
        key = f"{service.namespace}/{service.name}"
        return self._clusters.get((key, port.name or str(port.port)), [])

    def _readiness(self, cluster: str) -> list[tuple[Endpoint, bool]]:
        """The endpoints, and whether each is in answers: all that do not terminate where none is healthy (panic)."""
        there = [each for each in self._endpoints.get(cluster, ()) if not each.terminating and each.weight]
        found = [(each, self._usable(cluster, each.id)) for each in there]
        panics = cluster in self._panics and not any(ready for _, ready in found)
        return [(each, True) for each in there] if panics else found

    def _hosts(self, service: ServiceView) -> _Hosts:
        """What there is of a headless Service now; an endpoint must be ready on every port that it has."""
        key = (service.namespace, service.name)
        known = self._known_hosts.get(key)
        if known is None:
            known = self._known_hosts[key] = self._find_hosts(service)
        return known

    def _find_hosts(self, service: ServiceView) -> _Hosts:
        ready = {each.address.host: True for each in service.hosts}
        labels = {each.address.host: _host(each) for each in service.hosts}
        for port in service.ports:
            for cluster in self._clusters_of(service, port):
                for endpoint, is_ready in self._readiness(cluster):
                    host = endpoint.address.host
                    ready[host] = is_ready and ready.get(host, True)
                    labels[host] = _host(endpoint)
        named: defaultdict[str, list[str]] = defaultdict(list)
        for host, label in labels.items():
            if ready[host]:
                named[label].append(host)
        return _Hosts([host for host in ready if ready[host]], dict(named), len(ready))

    def _all_endpoints(self, service: ServiceView) -> Iterator[Endpoint]:
        yield from service.hosts
        for port in service.ports:
            for cluster in self._clusters_of(service, port):
                yield from (each for each in self._endpoints.get(cluster, ()) if not each.terminating)

    def _owners_of_addresses(self) -> dict[str, tuple[ServiceView, str | None]]:
        """Whose each address is: a virtual IP goes before an endpoint, a Service that comes first before others."""
        owners: dict[str, tuple[ServiceView, str | None]] = {}
        for service in self.services.values():
            owners.update((address, (service, None)) for address in service.cluster_ips if address not in owners)
        for service in self.services.values():
            if service.headless:
                for endpoint in self._all_endpoints(service):
                    owners.setdefault(endpoint.address.host, (service, _host(endpoint)))
        return owners

    def _full_name(self, service: ServiceView) -> str:
        return names.text_of((service.name, service.namespace, *names.SERVICES, *self.domain))


def _label(service: ServiceView) -> str:
    return f"Service {service.namespace}/{service.name}"


def _host(endpoint: Endpoint) -> str:
    return names.host_label(endpoint.hostname, endpoint.address.host)


def _matches(port: ServicePortView, rest: Labels) -> bool:
    """Whether ``_http._tcp``, or ``_tcp`` alone, is (above) `port`. Ports without a name have no SRV record."""
    protocol = rest[-1] == f"_{port.transport.value.lower()}"
    return bool(port.name) and protocol and rest[:-1] in ((), (f"_{port.name}",))


def _is_address(value: str) -> bool:
    try:
        ip_address(value)
    except ValueError:
        return False
    return True


def _type_of(address: str) -> str:
    return "AAAA" if ":" in address else "A"


def _of_addresses(reason: str, origin: Labels, owner: str, addresses: list[str], kind: str) -> Local:
    found = _of_type(reason, origin, kind, *(Record(owner, _type_of(each), each) for each in addresses))
    if found.records or kind not in ("A", "AAAA"):
        return found
    if not addresses:
        return found._replace(reason=f"{reason}: there is no address")
    return found._replace(reason=f"{reason}: it has no IPv{4 if kind == 'A' else 6} address")


def _of_targets(reason: str, origin: Labels, owner: str, kind: str, targets: Iterable[_Target]) -> Local:
    few = list(islice(targets, MAX_RECORDS))
    records = (Record(owner, "SRV", f"{each.priority} {each.weight} {each.port} {each.host}") for each in few)
    found = _of_type(reason, origin, kind, *dict.fromkeys(records))
    if not found.records:
        return found
    additional = (Record(each.host, _type_of(each.address), each.address) for each in few[:MAX_ADDITIONAL])
    return found._replace(additional=tuple(dict.fromkeys(additional)))


def _of_type(reason: str, origin: Labels, kind: str, *records: Record) -> Local:
    chosen = tuple(each for each in records if kind in (each.type, "ANY"))
    return Local(reason if chosen or kind in ("A", "AAAA") else f"{reason}: it has no {kind} record", origin, chosen)
