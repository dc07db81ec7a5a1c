"""The services of this machine that are written into a registry, `Proxy.spec.register`."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from meshproxy.admin.view import RegistrationStatus
from meshproxy.aio.watch import Watch
from meshproxy.base.events import EventSink
from meshproxy.base.spiffe import SpiffeId
from meshproxy.resources.proxy import ProxySpec
from meshproxy.runtime.sources import CONSUL_TOKEN
from meshproxy.snapshot.identity import Identity

if TYPE_CHECKING:
    from meshproxy.registry.consul.registrations import Registrations


class LocalServices:
    """Owns the registrations; Consul's libraries are imported with the first of them."""

    def __init__(self, identity: Watch[Identity | None], random: Callable[[], float], on_event: EventSink) -> None:
        self._identity = identity
        self._random = random
        self._on_event = on_event
        self._registrations: Registrations | None = None
        self._spec = ProxySpec()

    def apply(self, spec: ProxySpec) -> None:
        """These are to be registered from now on. This process serves: others may hear of it."""
        self._spec = spec
        if self._registrations is None and spec.register:
            self._registrations = self._make()
            self._registrations.start()
        self._announce()

    async def run(self) -> None:
        """Say whose identity peers will find here, as it changes, until cancelled."""
        async for _ in self._identity.updates():
            self._announce()

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

    def _announce(self) -> None:
        if self._registrations is not None:
            self._registrations.apply(self._spec, _service_account(self._spec, self._identity.value))

    def _make(self) -> Registrations:
        from meshproxy.registry.consul.agent import ConsulAgent
        from meshproxy.registry.consul.registrations import Registrations

        token = os.environ.get(CONSUL_TOKEN, "")
        return Registrations(
            lambda source: ConsulAgent(source, token), socket.gethostname(), self._random, self._on_event
        )


def _service_account(spec: ProxySpec, identity: Identity | None) -> str:
    """Who is here: as the certificate says, or as it will; empty while that is not known."""
    found = SpiffeId.parse(identity.spiffe_id).service_account if identity is not None else None
    if found is not None:
        return found.name
    return (spec.identity.service_account if spec.identity is not None else None) or ""
