"""From what a Proxy document says to the sources that read it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from meshproxy.registry.docker.networks import own_container_id
from meshproxy.registry.docker.source import DockerContainers
from meshproxy.resources.intentions import ConsulIntentions
from meshproxy.resources.sources import ConsulSource, SourceSpec
from meshproxy.resources.update import Source

CONSUL_TOKEN = "CONSUL_HTTP_TOKEN"
"""The environment variable that Consul's own programs take their token from."""


class Registries:
    """Makes the sources that a Proxy document asks for. A registry may be read by several, each with its own state."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random

    def __call__(self, spec: SourceSpec | ConsulIntentions) -> Sequence[Source]:
        if isinstance(spec, ConsulIntentions):
            return [self._intentions(spec)]
        if spec.consul is not None:
            return tuple(self._consul(spec.called, spec.consul))
        if spec.docker is not None:
            clock = asyncio.get_running_loop().time
            return [DockerContainers(spec.called, spec.docker, _own_container_id(), self._random, clock)]
        return ()

    def _consul(self, name: str, consul: ConsulSource) -> Iterator[Source]:
        # Who has no Consul does not wait for its libraries.
        from meshproxy.registry.consul.agent import ConsulAgent
        from meshproxy.registry.consul.catalog import CatalogSource
        from meshproxy.registry.consul.kv import KVSource

        token = os.environ.get(CONSUL_TOKEN, "")
        if consul.catalog:
            yield CatalogSource(name, consul, ConsulAgent(consul, token), self._random)
        if consul.kv is not None:
            yield KVSource(f"{name}/kv", consul, consul.kv, ConsulAgent(consul, token), self._random)

    def _intentions(self, spec: ConsulIntentions) -> Source:
        from meshproxy.registry.consul.agent import ConsulAgent
        from meshproxy.registry.consul.intentions import IntentionsSource

        consul = ConsulSource(address=spec.address, token_file=spec.token_file)
        agent = ConsulAgent(consul, os.environ.get(CONSUL_TOKEN, ""))
        return IntentionsSource(spec, float(consul.wait), agent, self._random)


def _own_container_id() -> str:
    try:
        mounts = Path("/proc/self/mountinfo").read_text()
    except OSError:
        mounts = ""
    return own_container_id(mounts, socket.gethostname())
