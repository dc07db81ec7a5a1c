"""Which of a container's addresses traffic goes to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from meshproxy.registry.docker.containers import Container

HOST_MODE = "host"
LOOPBACK = "127.0.0.1"
_CONTAINER_MODE = "container:"
_CONTAINER_PATH = re.compile(r"/containers/([0-9a-f]{64})/")
_SHORT_ID = re.compile(r"[0-9a-f]{12}")


class Reach(NamedTuple):
    """How this proxy reaches containers.

    `network` is the one to use, empty for any; `own` are the names of the networks that the proxy's own
    container is in; `host` is the address of the engine's machine; with `published`, containers are
    reached at their published ports there.
    """

    network: str = ""
    own: frozenset[str] = frozenset()
    host: str = LOOPBACK
    published: bool = False


def addresses_of(
    container: Container, wanted: str, reach: Reach, containers: Mapping[str, Container]
) -> tuple[str, ...]:
    """Its IPv4 and IPv6 address in the best network: the `wanted` one, `reach`'s, a shared one, the first by name."""
    if container.network_mode.startswith(_CONTAINER_MODE):
        other = containers.get(container.network_mode.removeprefix(_CONTAINER_MODE))
        if other is None or other.network_mode.startswith(_CONTAINER_MODE):
            return ()
        return addresses_of(other, wanted, reach, containers)
    if reach.published or container.network_mode == HOST_MODE:
        return (reach.host,)
    network = wanted or reach.network
    usable = [each for each in container.networks if network in ("", each.name)]
    usable.sort(key=lambda each: (each.name not in reach.own, each.name))
    for each in usable:
        addresses = tuple(filter(None, (each.ipv4, each.ipv6)))
        if addresses:
            return addresses
    return ()


def reach_from(containers: Iterable[Container], own_id: str, *, network: str, host: str, published: bool) -> Reach:
    """How the process in container `own_id` ("" for none) reaches others. `host` is the engine's machine, if known."""
    me = next((each for each in containers if own_id and each.id.startswith(own_id)), None)
    own = me.networks if me is not None else ()
    gateways = [each.gateway for each in own if each.gateway]
    return Reach(
        network=network,
        own=frozenset(each.name for each in own),
        host=host or (gateways[0] if gateways else LOOPBACK),
        published=published,
    )


def own_container_id(mountinfo: str, hostname: str) -> str:
    """The id of the container that this process runs in, or "".

    Docker mounts ``hostname`` and ``resolv.conf`` from a directory that its id names; where that cannot be
    seen, the host name is the short id unless another was given. What is no id of a container here is harmless.
    """
    match = _CONTAINER_PATH.search(mountinfo)
    if match:
        return match[1]
    return hostname if _SHORT_ID.fullmatch(hostname) else ""
