"""Makes the identity source that the Proxy document asks for."""

from __future__ import annotations

import os
from pathlib import Path

from meshproxy.identity.sources.api import IdentitySource
from meshproxy.identity.sources.ca import CAIdentitySource
from meshproxy.identity.sources.consul import ConsulIdentitySource
from meshproxy.identity.sources.consul_agent import ConsulAgent
from meshproxy.identity.sources.files import FilesIdentitySource
from meshproxy.identity.sources.surroundings import Surroundings
from meshproxy.identity.svid import Wanted
from meshproxy.runtime.sources import CONSUL_TOKEN
from meshproxy.snapshot.identity import FromCA, FromConsul, FromFiles, IdentitySettings


class IdentitySources:
    """`state_dir` is where what must outlive a restart is kept, None for nowhere."""

    def __init__(self, state_dir: Path | None, surroundings: Surroundings) -> None:
        self._state_dir = state_dir
        self._surroundings = surroundings

    def make(self, settings: IdentitySettings) -> IdentitySource:
        wanted = Wanted(settings.trust_domain, settings.namespace, settings.service_account)
        match settings.source:
            case FromFiles():
                return FilesIdentitySource(settings.source, wanted, self._surroundings.wall_clock)
            case FromCA():
                return CAIdentitySource(settings.source, wanted, self._surroundings, self._state_dir)
            case FromConsul():
                agent = ConsulAgent(settings.source, os.environ.get(CONSUL_TOKEN, ""))
                return ConsulIdentitySource(agent, wanted, self._surroundings)
