"""The services of this machine that are written into a registry, `Proxy.spec.register`."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from meshproxy.admin.view import RegistrationStatus
from meshproxy.base.events import EventSink
from meshproxy.resources.proxy import ProxySpec
from meshproxy.runtime.sources import CONSUL_TOKEN

if TYPE_CHECKING:
    from meshproxy.registry.consul.registrations import Registrations


class LocalServices:
    """Owns the registrations; Consul's libraries are imported with the first of them."""

    def __init__(self, random: Callable[[], float], on_event: EventSink) -> None:
        self._random = random
        self._on_event = on_event
        self._registrations: Registrations | None = None

    def apply(self, spec: ProxySpec) -> None:
        """These are to be registered from now on. This process serves: others may hear of it."""
        if self._registrations is None and spec.register:
            self._registrations = self._make()
            self._registrations.start()
        if self._registrations is not None:
            self._registrations.apply(spec)

    async def end(self) -> None:
        """Take everything out, and wait until others have heard of it."""
        if self._registrations is not None:
            await self._registrations.end()

    def statuses(self) -> tuple[RegistrationStatus, ...]:
        states = self._registrations.states() if self._registrations is not None else ()
        return tuple(
            RegistrationStatus(
                name=state.name,
                id=state.id,
                address=state.address,
                registered=state.registered,
                health=state.health,
                problem=state.problem,
            )
            for state in states
        )

    def _make(self) -> Registrations:
        from meshproxy.registry.consul.agent import ConsulAgent
        from meshproxy.registry.consul.registrations import Registrations

        token = os.environ.get(CONSUL_TOKEN, "")
        return Registrations(
            lambda source: ConsulAgent(source, token), socket.gethostname(), self._random, self._on_event
        )
