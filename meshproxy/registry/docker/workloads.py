"""A container as a Workload."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from meshproxy.loader.rules import values
from meshproxy.registry.docker.containers import Container, ContainerPort
from meshproxy.registry.docker.labels import (
    COMPOSE_PROJECT_LABEL,
    COMPOSE_SERVICE_LABEL,
    MAIN_PORT,
    VARIANT_LABEL,
    ContainerLabels,
)
from meshproxy.registry.docker.networks import HOST_MODE, Reach
from meshproxy.resources import ObjectMeta, Workload
from meshproxy.resources.workload import WorkloadMesh, WorkloadSpec

SHORT_LABELS = {COMPOSE_PROJECT_LABEL: "compose-project", COMPOSE_SERVICE_LABEL: "compose-service"}
"""Compose's labels are there as they are, and under names that one can write from memory."""
MAX_NAME = 200

_NOT_IN_NAMES = re.compile(r"[^a-z0-9.-]+")


def workload_names(containers: Iterable[Container]) -> dict[str, str]:
    """Names by the containers' ids: the container's own as far as it is a resource's, with its id where two are one."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for container in sorted(containers, key=lambda each: (each.name, each.id)):
        name = _resource_name(container.name)
        if not name or name in taken:
            name = f"{name}-{container.id[:12]}".lstrip("-")
        if name in taken or values.dns_subdomain(name):
            continue
        taken.add(name)
        names[container.id] = name
    return names


def _resource_name(name: str) -> str:
    """``My_App`` → ``my-app``."""
    parts = (part.strip("-") for part in _NOT_IN_NAMES.sub("-", name.lower())[:MAX_NAME].split("."))
    return ".".join(filter(None, parts))


def make_workload(
    container: Container,
    name: str,
    labels: ContainerLabels,
    addresses: tuple[str, ...],
    ports: Mapping[str, int],
    *,
    stopping: bool,
) -> Workload:
    """`ports` are those that labels name."""
    return Workload(
        api_version="meshproxy.dev/v1",
        kind="Workload",
        metadata=ObjectMeta(name=name, namespace=labels.namespace, labels=workload_labels(container.labels)),
        spec=WorkloadSpec(
            address=addresses[0],
            addresses=addresses[1:],
            ports={**_exposed(container.ports), **ports},
            weight=labels.weight,
            zone=labels.zone,
            service_account=labels.service_account,
            mesh=WorkloadMesh(port=labels.mesh_port) if labels.mesh_port is not None else None,
            ready=container.is_ready,
            terminating=stopping,
        ),
    )


def workload_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels that a selector can name. Images carry others (``org.opencontainers.image.description``)."""
    kept = {
        key: value
        for key, value in sorted(labels.items())
        if values.label_key(key) is None and values.label_value(value) is None
    }
    kept.pop(VARIANT_LABEL, None)  # which one it is in is said by those that are in a Service
    for long, short in SHORT_LABELS.items():
        if long in kept:
            kept.setdefault(short, kept[long])
    return kept


def _exposed(ports: Iterable[ContainerPort]) -> dict[str, int]:
    """``tcp-8080``: what an image exposes has no name."""
    return {f"{port.protocol}-{port.private}": port.private for port in ports if port.protocol in ("tcp", "udp")}


def named_ports(container: Container, labels: ContainerLabels, reach: Reach) -> tuple[dict[str, int], dict[str, str]]:
    """(numbers by the ports' names, and by label what is wrong): where the container listens, as clients reach it."""
    numbers: dict[str, int] = {}
    problems: dict[str, str] = {}
    for port in labels.ports:
        number = port.port
        protocol = "udp" if port.protocol == "udp" else "tcp"
        suffix = f".{port.name}" if port.name else ""
        if number is None:
            number, problem = _only_exposed(container.ports, protocol)
            if problem:
                problems[f"port{suffix}"] = problem
                continue
        if reach.published and container.network_mode != HOST_MODE:
            number = _published(container.ports, number, protocol)
            if not number:
                problems[f"port{suffix}"] = f"port {port.port or ''} is not published, so that it cannot be reached"
                continue
        numbers[port.name or MAIN_PORT] = number
    return numbers, problems


def _only_exposed(ports: Iterable[ContainerPort], protocol: str) -> tuple[int, str]:
    """The one port that an image exposes, or 0 and what is wrong."""
    exposed = sorted({port.private for port in ports if port.protocol == protocol})
    if len(exposed) == 1:
        return exposed[0], ""
    if not exposed:
        return 0, "is needed: the container exposes no port"
    return 0, f"is needed: the container exposes several ports, {', '.join(map(str, exposed))}"


def _published(ports: Iterable[ContainerPort], private: int, protocol: str) -> int:
    found = sorted(
        port.public for port in ports if (port.private, port.protocol) == (private, protocol) and port.public
    )
    return found[0] if found else 0
