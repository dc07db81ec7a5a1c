"""What a container's ``meshproxy.dev/…`` labels say, one container at a time.

A container with a label that cannot be understood is in no Service, and says why: traffic must not
go where a half-read label leads (a misspelt ``canary-weight`` would give a canary its full share).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from meshproxy.base.errors import Finding, Severity
from meshproxy.base.names import DEFAULT_NAMESPACE
from meshproxy.loader.rules import http_values, values
from meshproxy.loader.rules.values import Problem
from meshproxy.loader.rules.workload import MAX_WEIGHT
from meshproxy.loader.suggestions import did_you_mean
from meshproxy.registry.docker.containers import Container
from meshproxy.registry.docker.match_labels import MATCH_FAMILIES, MATCH_LABELS, read_matches
from meshproxy.resources.http_route import HTTPRouteMatch
from meshproxy.resources.policy import Algorithm
from meshproxy.resources.workload import DEFAULT_WEIGHT

PREFIX = "meshproxy.dev/"
SERVICE_LABEL = f"{PREFIX}service"
VARIANT_LABEL = f"{PREFIX}variant"
COMPOSE_SERVICE_LABEL = "com.docker.compose.service"
COMPOSE_PROJECT_LABEL = "com.docker.compose.project"
MAIN_PORT = "main"
"""What the port without a name is called where it needs one."""
STABLE = "stable"
"""The variant of a Service that takes what no other does."""

_ALL = ("true", "yes", "on")
_NONE = ("false", "no", "off")
_HEALTH = ("path", "host", "port", "tcp", "interval", "timeout", "unhealthy-threshold", "healthy-threshold")
_SIMPLE = (
    "service",
    "namespace",
    "network",
    "zone",
    "service-account",
    "mesh-port",
    "weight",
    "port",
    "service-port",
    "protocol",
    "variant",
    "canary-weight",
    "mirror",
    "host",
    "gateway",
    "algorithm",
    *(f"health.{name}" for name in _HEALTH),
    *MATCH_LABELS,
)
_PORT_FAMILIES = ("port", "service-port", "protocol")
_FAMILIES = (*_PORT_FAMILIES, *MATCH_FAMILIES)
MAX_VALUE = 4096
MAX_CANARY_WEIGHT = 100


class PortLabels(msgspec.Struct, frozen=True, kw_only=True):
    """``port``, ``service-port`` and ``protocol``; `name` is empty for those without a suffix."""

    name: str = ""
    port: int | None = None
    service_port: int | None = None
    protocol: str | None = None


class Routing(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests a container takes; by default all. `canary_weight` and `mirror` are percentages."""

    matches: tuple[HTTPRouteMatch, ...] = ()
    canary_weight: int | None = None
    mirror: int | None = None


class ContainerLabels(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was understood. `service` is empty where the container is in none."""

    service: str = ""
    namespace: str = DEFAULT_NAMESPACE
    network: str = ""
    zone: str | None = None
    service_account: str | None = None
    mesh_port: int | None = None
    weight: int = DEFAULT_WEIGHT
    ports: tuple[PortLabels, ...] = ()
    variant: str = ""
    routing: Routing = Routing()
    hosts: tuple[str, ...] = ()
    gateway: str = ""
    algorithm: Algorithm | None = None
    health: tuple[tuple[str, str], ...] = ()


class LabelReader:
    """Reads one container's labels and collects what is wrong with them."""

    def __init__(self, container: Container) -> None:
        self.texts: dict[str, str] = {}
        self.findings: list[Finding] = []
        self._resource = container_label(container)
        for key, value in sorted(container.labels.items()):
            if key.startswith(PREFIX):
                self._take(key.removeprefix(PREFIX), value.strip())

    def _take(self, label: str, value: str) -> None:
        if len(value) > MAX_VALUE:
            self.wrong(label, f"has {len(value)} characters; {MAX_VALUE} are the most")
        elif problem := _unknown(label):
            self.wrong(label, problem)
        else:
            self.texts[label] = value

    def wrong(self, label: str, problem: Problem) -> None:
        """Say what is wrong with a label; nothing where `problem` is None."""
        if problem is not None:
            self.findings.append(finding_about(self._resource, label, problem))

    def text(self, label: str, check: Callable[[str], Problem]) -> str | None:
        """The label's value where it has one that `check` does not object to."""
        value = self.texts.get(label)
        if value is None:
            return None
        problem = check(value)
        self.wrong(label, problem)
        return value if problem is None else None

    def texts_of(self, label: str, check: Callable[[str], Problem]) -> tuple[str, ...]:
        """A list with commas, in order, each once."""
        items = [item.strip() for item in self.texts.get(label, "").split(",")]
        for item in filter(None, items):
            self.wrong(label, check(item))
        return tuple(dict.fromkeys(filter(None, items)))

    def number(self, label: str, low: int, high: int) -> int | None:
        value = self.texts.get(label)
        if value is None:
            return None
        if not value.isascii() or not value.isdigit() or len(value) > 9:
            self.wrong(label, f"{values.quote(value)} is not a whole number from {low} to {high}")
            return None
        problem = values.in_range(int(value), low, high)
        self.wrong(label, problem)
        return int(value) if problem is None else None

    def percentage(self, label: str, *, with_words: bool = False) -> int | None:
        """``10`` or ``10%``; with `with_words` also ``true``, which is 100, and ``false``, which is None."""
        value = self.texts.get(label)
        if value is None:
            return None
        if with_words and value.lower() in _NONE:
            return None
        if with_words and value.lower() in _ALL:
            return MAX_CANARY_WEIGHT
        digits = value.removesuffix("%").strip()
        if not digits.isascii() or not digits.isdigit() or len(digits) > 3 or int(digits) > MAX_CANARY_WEIGHT:
            also = ", or true" if with_words else ""
            self.wrong(label, f"{values.quote(value)} is no percentage; write a whole number from 0 to 100{also}")
            return None
        return int(digits)


def container_label(container: Container) -> str:
    """How findings name a container."""
    return f"Container/{values.quote(container.name)[1:-1]}"


def finding_about(resource: str, label: str, problem: str) -> Finding:
    """A warning about a label: one container's mistake must not refuse what the others say."""
    field = f"label {PREFIX}{label}" if label else ""
    return Finding(severity=Severity.WARNING, resource=resource, field=field, message=problem)


def read_labels(
    container: Container, namespace: str = DEFAULT_NAMESPACE
) -> tuple[ContainerLabels, tuple[Finding, ...]]:
    """What the labels say, and what is wrong with them; `namespace` is where containers are that do not say."""
    reader = LabelReader(container)
    labels = _read(reader, namespace)
    if "service" not in reader.texts and not reader.findings:
        _say_that_it_needs_a_service(reader)
    if reader.findings:
        reader.wrong("", "is in no Service while its labels are wrong")
        labels = msgspec.structs.replace(labels, service="")
    return labels, tuple(reader.findings)


def _read(reader: LabelReader, namespace: str) -> ContainerLabels:
    service = reader.text("service", values.dns_label) or ""
    return ContainerLabels(
        service=service,
        namespace=reader.text("namespace", values.dns_label) or namespace,
        network=reader.text("network", _not_empty) or "",
        zone=reader.text("zone", values.label_value) or None,
        service_account=reader.text("service-account", values.dns_subdomain),
        mesh_port=reader.number("mesh-port", 1, 65535),
        weight=_or(reader.number("weight", 0, MAX_WEIGHT), DEFAULT_WEIGHT),
        ports=tuple(_read_ports(reader)),
        variant=reader.text("variant", values.dns_label) or "",
        routing=Routing(
            matches=read_matches(reader.texts, reader.wrong),
            canary_weight=reader.percentage("canary-weight"),
            mirror=_mirror(reader),
        ),
        hosts=reader.texts_of("host", http_values.hostname),
        gateway=reader.text("gateway", values.namespaced_name) or "",
        algorithm=_algorithm(reader),
        health=tuple((name, reader.texts[f"health.{name}"]) for name in _HEALTH if f"health.{name}" in reader.texts),
    )


def _read_ports(reader: LabelReader) -> Iterator[PortLabels]:
    """The ports by name; one without a name, of which nothing is said, where there is no label."""
    parts = [label.partition(".") for label in reader.texts]
    for name in sorted({name for family, _, name in parts if family in _PORT_FAMILIES} or {""}):
        suffix = f".{name}" if name else ""
        if name:
            reader.wrong(_first(reader, suffix), values.port_name(name))
        yield PortLabels(
            name=name,
            port=reader.number(f"port{suffix}", 1, 65535),
            service_port=reader.number(f"service-port{suffix}", 1, 65535),
            protocol=reader.text(f"protocol{suffix}", values.app_protocol),
        )


def _first(reader: LabelReader, suffix: str) -> str:
    return next(f"{family}{suffix}" for family in _PORT_FAMILIES if f"{family}{suffix}" in reader.texts)


def _mirror(reader: LabelReader) -> int | None:
    mirror = reader.percentage("mirror", with_words=True)
    if mirror is not None and "canary-weight" in reader.texts:
        reader.wrong("mirror", "does not go with canary-weight: a mirror gets copies, and answers nobody")
    return mirror


def _algorithm(reader: LabelReader) -> Algorithm | None:
    value = reader.texts.get("algorithm")
    if value is None:
        return None
    try:
        return Algorithm(value)
    except ValueError:
        names = [str(each) for each in Algorithm]
        hint = did_you_mean(value, names)
        reader.wrong("algorithm", f"{values.quote(value)} is none of {', '.join(names)}{hint}")
        return None


def _not_empty(value: str) -> Problem:
    return None if value else "must not be empty"


def _unknown(label: str) -> Problem:
    simple: tuple[str, ...] = _SIMPLE
    families: tuple[str, ...] = _FAMILIES
    if label.startswith("match."):
        simple, families = MATCH_LABELS, MATCH_FAMILIES
        label = label.split(".", 2)[-1]
    family, _, name = label.partition(".")
    if label in simple or (family in families and name):
        return None
    return f"is unknown{did_you_mean(label, (*simple, *families))}"


def _say_that_it_needs_a_service(reader: LabelReader) -> None:
    alone = ("namespace", "network", "zone", "service-account", "mesh-port", "weight")
    label = next((label for label in reader.texts if label not in alone), None)
    if label is not None:
        reader.wrong(label, f"does nothing without {SERVICE_LABEL}, which names the Service that the container is in")


def _or(value: int | None, default: int) -> int:
    return default if value is None else value
