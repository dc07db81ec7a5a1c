"""Containers for tests, as values and as an engine's list has them."""

from __future__ import annotations

import itertools
from typing import Any

from meshproxy.base.names import NamespacedName
from meshproxy.registry.docker.containers import Container, ContainerPort, Health, Network
from meshproxy.registry.docker.networks import Reach
from meshproxy.registry.docker.translate import Translation, Translator
from meshproxy.resources import HTTPRoute, Service, TrafficPolicy, Workload

_numbers = itertools.count(1)


def make_container(name: str = "web-1", /, *labels: str, **fields: Any) -> Container:
    """`labels` are ``key=value``, those of meshproxy without their prefix."""
    number = next(_numbers)
    pairs = (label.split("=", 1) for label in labels)
    written = {key if "/" in key or key.startswith(("com.", "app")) else f"meshproxy.dev/{key}": v for key, v in pairs}
    defaults: dict[str, Any] = {
        "id": f"{number:064x}",
        "created": number,
        "networks": (Network("net", f"10.0.{number // 250}.{number % 250 + 1}", "", "10.0.0.254"),),
        "ports": (ContainerPort(8080, 0, "", "tcp"),),
    }
    return Container(name=name, labels=written, **{**defaults, **fields})


def translate(
    *containers: Container, stopping: tuple[Container, ...] = (), reach: Reach | None = None, gateway: str = ""
) -> Said:
    translator = Translator("default", gateway)
    return Said(translator.translate(containers, frozenset(each.id for each in stopping), reach or Reach()))


class Said:
    """What containers lead to, by kind and name."""

    def __init__(self, translation: Translation) -> None:
        self.resources = translation.resources
        self.problems = [str(finding) for finding in translation.findings]
        self.workloads = {each.metadata.name: each for each in self.resources if isinstance(each, Workload)}
        self.services = {each.key: each for each in self.resources if isinstance(each, Service)}
        self.routes = {each.metadata.name: each for each in self.resources if isinstance(each, HTTPRoute)}
        self.policies = {each.metadata.name: each for each in self.resources if isinstance(each, TrafficPolicy)}

    def service(self, name: str, namespace: str = "default") -> Service:
        return self.services[NamespacedName(namespace, name)]

    def names_of(self, service: str) -> set[str]:
        """The workloads that a Service selects."""
        selector = self.service(service).spec.selector.items()
        return {name for name, each in self.workloads.items() if selector <= each.metadata.labels.items()}

    def shares(self, route: str) -> list[dict[str, int]]:
        """The backends' weights, a rule each."""
        return [{ref.name: ref.weight for ref in rule.backend_refs} for rule in self.routes[route].spec.rules]


def listed(container: Container, status: str = "") -> dict[str, Any]:
    """`container` as ``GET /containers/json`` has it."""
    return {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Created": container.created,
        "Labels": container.labels,
        "State": container.state,
        "Status": status or ("Up 1 minute" if container.health is Health.NONE else f"Up ({_word(container.health)})"),
        "HostConfig": {"NetworkMode": container.network_mode},
        "NetworkSettings": {
            "Networks": {
                each.name: {"IPAddress": each.ipv4, "GlobalIPv6Address": each.ipv6, "Gateway": each.gateway}
                for each in container.networks
            }
        },
        "Ports": [
            {"PrivatePort": each.private, "Type": each.protocol}
            | ({"PublicPort": each.public, "IP": each.host} if each.public else {})
            for each in container.ports
        ],
    }


def _word(health: Health) -> str:
    return "health: starting" if health is Health.STARTING else str(health)
