"""What ``GET /containers/json`` answers, as values. Whatever is in it, the worst is one container left out."""

from __future__ import annotations

import enum
import re
from typing import NamedTuple

import msgspec

from meshproxy.loader.rules import values

_HEALTH = re.compile(r"\((?:health: )?(healthy|unhealthy|starting)\)\Z")
"""The end of a Status text: ``Up 2 minutes (healthy)``; the list has no other word on health."""
ONE_OFF_LABEL = "com.docker.compose.oneoff"
MAX_LABELS = 1000
"""Labels of one container beyond these are not looked at."""


class Health(enum.StrEnum):
    """Docker's HEALTHCHECK; `NONE` where an image has none."""

    NONE = "none"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class Network(NamedTuple):
    """A container's place in a network; addresses are empty where it has none. `gateway` is the engine's machine."""

    name: str
    ipv4: str
    ipv6: str
    gateway: str = ""


class ContainerPort(NamedTuple):
    """`public` is 0 where the port is only exposed. `protocol` is ``tcp``, ``udp`` or ``sctp``."""

    private: int
    public: int
    host: str
    protocol: str


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """A running container. `created` is in seconds since 1970; `network_mode` is what it was started with."""

    id: str
    name: str
    created: int = 0
    labels: dict[str, str] = {}
    state: str = "running"
    health: Health = Health.NONE
    network_mode: str = ""
    networks: tuple[Network, ...] = ()
    ports: tuple[ContainerPort, ...] = ()

    @property
    def is_ready(self) -> bool:
        """Whether it may have traffic, as far as Docker knows."""
        return self.state == "running" and self.health in (Health.NONE, Health.HEALTHY)

    @property
    def is_one_off(self) -> bool:
        """Whether it is a ``docker compose run``, which has the labels of its service and is none of it."""
        return self.labels.get(ONE_OFF_LABEL) == "True"

    @property
    def age_order(self) -> tuple[int, str, str]:
        """The newest container is the greatest; no two are the same."""
        return (self.created, self.name, self.id)


class Listing(NamedTuple):
    """`problems` says what could not be read, a sentence each."""

    containers: tuple[Container, ...]
    problems: tuple[str, ...]


class _Endpoint(msgspec.Struct, rename="pascal"):
    gateway: str | None = None
    ipv4: str | None = msgspec.field(default=None, name="IPAddress")
    ipv6: str | None = msgspec.field(default=None, name="GlobalIPv6Address")


class _NetworkSettings(msgspec.Struct, rename="pascal"):
    networks: dict[str, _Endpoint | None] | None = None


class _HostConfig(msgspec.Struct, rename="pascal"):
    network_mode: str | None = None


class _Port(msgspec.Struct, rename="pascal"):
    private_port: int
    public_port: int | None = None
    ip: str | None = msgspec.field(default=None, name="IP")
    type: str = "tcp"


class _Item(msgspec.Struct, rename="pascal"):
    id: str
    names: list[str] | None = None
    created: int = 0
    labels: dict[str, str] | None = None
    state: str = "running"
    status: str | None = None
    ports: list[_Port] | None = None
    host_config: _HostConfig | None = None
    network_settings: _NetworkSettings | None = None


def decode_listing(body: bytes) -> Listing:
    """Read a list of containers; raises `ValueError` where it is none (truncated, an error page)."""
    try:
        items = msgspec.json.decode(readable(body), type=list[msgspec.Raw])
    except msgspec.DecodeError as error:
        raise ValueError(f"the list of containers cannot be read: {error}") from None
    containers: dict[str, Container] = {}
    problems = []
    for number, raw in enumerate(items):
        try:
            item = msgspec.json.decode(raw, type=_Item)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            problems.append(f"container {number} of the list cannot be read and is left out: {error}")
            continue
        containers[item.id] = _container(item)
    return Listing(tuple(containers[each] for each in sorted(containers)), tuple(problems))


def readable(body: bytes) -> bytes:
    """`body` as UTF-8, whatever it was: what is none becomes U+FFFD, as in Go's encoder."""
    return body.decode("utf-8", "replace").encode()


def _container(item: _Item) -> Container:
    networks = (item.network_settings and item.network_settings.networks) or {}
    ports = {
        ContainerPort(port.private_port, port.public_port or 0, port.ip or "", port.type)
        for port in item.ports or ()
        if 1 <= port.private_port <= 65535
    }
    labels = item.labels or {}
    return Container(
        id=item.id,
        name=_name(item),
        created=item.created,
        labels=labels if len(labels) <= MAX_LABELS else dict(sorted(labels.items())[:MAX_LABELS]),
        state=item.state,
        health=_health(item.status or ""),
        network_mode=(item.host_config and item.host_config.network_mode) or "",
        networks=tuple(
            Network(name, _address(place.ipv4), _address(place.ipv6), _address(place.gateway))
            for name, place in sorted(networks.items())
            if place is not None
        ),
        ports=tuple(sorted(ports)),
    )


def _address(text: str | None) -> str:
    """Empty for what no machine can have."""
    return text if text and values.unicast_address(text) is None else ""


def _name(item: _Item) -> str:
    """Its own name: others in the list, with two slashes, are links' (``/web/db``)."""
    names = [name.removeprefix("/") for name in item.names or ()]
    return next((name for name in names if name and "/" not in name), item.id[:12])


def _health(status: str) -> Health:
    match = _HEALTH.search(status)
    return Health(match[1]) if match else Health.NONE
