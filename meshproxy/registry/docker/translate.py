"""Containers in, resources and findings out. What did not change since the last time is not made again."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import msgspec

from meshproxy.base.errors import Finding
from meshproxy.base.names import NamespacedName
from meshproxy.registry.docker.containers import Container
from meshproxy.registry.docker.labels import ContainerLabels, container_label, finding_about, read_labels
from meshproxy.registry.docker.members import Member
from meshproxy.registry.docker.networks import Reach, addresses_of
from meshproxy.registry.docker.services import Described, describe_service
from meshproxy.registry.docker.workloads import make_workload, named_ports, workload_names
from meshproxy.resources.meta import Resource


class Translation(NamedTuple):
    """`names` are those of the Workloads, by the containers' ids."""

    resources: tuple[Resource, ...]
    findings: tuple[Finding, ...]
    names: Mapping[str, NamespacedName]


class _Circumstances(NamedTuple):
    """What a container's Workload is made of, besides the container."""

    name: str
    stopping: bool
    addresses: tuple[str, ...]
    reach: Reach


class _Made(NamedTuple):
    container: Container
    circumstances: _Circumstances
    member: Member | None
    findings: tuple[Finding, ...]


class Translator:
    """Remembers what it made, and gives the same objects again: who compares them has it cheap."""

    def __init__(self, namespace: str, gateway: str) -> None:
        self._namespace = namespace
        self._gateway = gateway
        self._read: dict[str, tuple[Container, ContainerLabels, tuple[Finding, ...]]] = {}
        self._made: dict[str, _Made] = {}
        self._described: dict[NamespacedName, tuple[tuple[Member, ...], frozenset[str], Described]] = {}

    def translate(self, containers: Sequence[Container], stopping: frozenset[str], reach: Reach) -> Translation:
        """Everything that `containers` lead to; `stopping` are the ids of those that were told to stop."""
        by_id = {container.id: container for container in containers}
        names = workload_names(container for container in containers if not container.is_one_off)
        self._read = {each: self._labels(by_id[each]) for each in names}
        made: dict[str, _Made] = {}
        for each, name in names.items():
            addresses = addresses_of(by_id[each], self._read[each][1].network, reach, by_id)
            made[each] = self._make(by_id[each], _Circumstances(name, each in stopping, addresses, reach))
        self._made = made
        findings = [finding for each in made.values() for finding in each.findings]
        members = [each.member for each in made.values() if each.member is not None]
        resources: list[Resource] = [member.workload for member in members if not member.labels.service]
        for described in self._describe(members):
            resources.extend((*described.workloads, *described.resources))
            findings.extend(described.findings)
        keys = {member.container.id: member.workload.key for member in members}
        return Translation(tuple(resources), tuple(findings), keys)

    def _labels(self, container: Container) -> tuple[Container, ContainerLabels, tuple[Finding, ...]]:
        known = self._read.get(container.id)
        if known is not None and known[0].labels == container.labels and known[0].name == container.name:
            return known
        return (container, *read_labels(container, self._namespace))

    def _make(self, container: Container, circumstances: _Circumstances) -> _Made:
        known = self._made.get(container.id)
        if known is not None and known.container == container and known.circumstances == circumstances:
            return known
        _, labels, findings = self._read[container.id]
        if not circumstances.addresses:
            return _Made(container, circumstances, None, (*findings, *_without_address(container, labels)))
        ports: dict[str, int] = {}
        if labels.service:
            findings = (*findings, *_apart(container, labels, circumstances.reach))
            ports, problems = named_ports(container, labels, circumstances.reach)
            if problems:
                resource = container_label(container)
                findings = (*findings, *(finding_about(resource, *problem) for problem in problems.items()))
                labels = msgspec.structs.replace(labels, service="")
        workload = make_workload(
            container, circumstances.name, labels, circumstances.addresses, ports, stopping=circumstances.stopping
        )
        member = Member(container=container, labels=labels, workload=workload, ports=ports)
        return _Made(container, circumstances, member, findings)

    def _describe(self, members: Sequence[Member]) -> list[Described]:
        groups: dict[NamespacedName, list[Member]] = defaultdict(list)
        for member in members:
            if member.labels.service:
                groups[NamespacedName(member.labels.namespace, member.labels.service)].append(member)
        longer = _longer_names(groups)
        described = {}
        for key, group in sorted(groups.items()):
            inside, taken = tuple(group), frozenset(longer.get(key, ()))
            known = self._described.get(key)
            if known is None or known[:2] != (inside, taken):
                known = (inside, taken, describe_service(key, inside, taken, self._gateway))
            described[key] = known
        self._described = described
        return [each for _, _, each in described.values()]


def _longer_names(services: Collection[NamespacedName]) -> Mapping[NamespacedName, list[str]]:
    """By Service, the names of others that go on where its own ends with a dash: ``web-canary`` for ``web``."""
    found: dict[NamespacedName, list[str]] = defaultdict(list)
    for namespace, name in services:
        for place in (match.start() for match in re.finditer("-", name)):
            found[NamespacedName(namespace, name[:place])].append(name)
    return found


def _apart(container: Container, labels: ContainerLabels, reach: Reach) -> list[Finding]:
    """A word about a container that this proxy, in a container too, shares no network with."""
    networks = {network.name for network in container.networks}
    if not reach.own or not networks or reach.published or labels.network or reach.network or networks & reach.own:
        return []
    own, others = ", ".join(sorted(reach.own)), ", ".join(sorted(networks))
    problem = f"shares no network with this proxy, and may not be reached: it is in {others}, the proxy in {own}"
    return [finding_about(container_label(container), "", problem)]


def _without_address(container: Container, labels: ContainerLabels) -> list[Finding]:
    """Worth a word only where somebody waits for the container."""
    if not labels.service:
        return []
    networks = ", ".join(network.name for network in container.networks) or "none"
    where = f"in the network {labels.network}" if labels.network else "in a network that is looked at"
    problem = f"has no address {where}, and is left out; its networks: {networks}"
    return [finding_about(container_label(container), "", problem)]
