"""From what a Proxy document says to the sources that read it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path
from random import Random

from meshproxy.registry.docker.networks import own_container_id
from meshproxy.registry.docker.source import DockerContainers
from meshproxy.resources.sources import SourceSpec
from meshproxy.resources.update import Source


class Registries:
    """Makes the sources of `Proxy.spec.sources`. A registry may be read by several, each with its own state."""

    def __call__(self, spec: SourceSpec) -> Sequence[Source]:
        if spec.docker is not None:
            clock = asyncio.get_running_loop().time
            return [DockerContainers(spec.called, spec.docker, _own_container_id(), Random().random, clock)]
        return ()


def _own_container_id() -> str:
    try:
        mounts = Path("/proc/self/mountinfo").read_text()
    except OSError:
        mounts = ""
    return own_container_id(mounts, socket.gethostname())
