"""A service of this machine in Consul: registered, kept so, and taken out again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec
from consul.check import Check

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.backoff import Backoff
from meshproxy.base.durations import format_duration
from meshproxy.base.events import Event, EventSink, EventType
from meshproxy.health.probes import ProbeNotPossible, probe
from meshproxy.registry.consul.agent import ConsulAgent, ConsulError
from meshproxy.resources.registration import AUTOMATIC, RegisteredCheck, RegisteredWeights, Registration
from meshproxy.snapshot.model import HealthCheck

POLL = 1.0
"""Seconds between looks whether the agent still has a service: one that was restarted may have forgotten it."""
FIRST_RETRY, LAST_RETRY = 0.2, 2.0
LOCAL = "127.0.0.1"
"""Where a service without an address is checked, and by us one whose address was found out."""
EXPECTED = ((200, 299),)
"""Statuses that Consul's own HTTP checks pass."""

_log = logging.getLogger(__name__)


class RegistrationState(msgspec.Struct, frozen=True, kw_only=True):
    """`health` is what our own check last said, empty where the agent checks; `problem` why it is not registered."""

    name: str
    id: str
    address: str
    registered: bool = False
    health: str = ""
    problem: str = ""


class KeptRegistration:
    """Owns one service at one agent. `node` names this machine in its default id."""

    def __init__(
        self,
        registration: Registration,
        agent: ConsulAgent,
        node: str,
        random: Callable[[], float],
        on_event: EventSink,
    ) -> None:
        self._wanted = registration
        self._agent = agent
        self._random = random
        self._on_event = on_event
        self._id = registration.id or f"{registration.name}-{node}-{registration.port}"
        self._check_id = f"service:{self._id}"
        self._address = registration.address or ""
        self._state = RegistrationState(name=registration.name, id=self._id, address=agent.address)

    @property
    def state(self) -> RegistrationState:
        return self._state

    async def keep(self) -> None:
        """Register, and again whenever the agent does not know of it, until cancelled."""
        loop = asyncio.get_running_loop()
        backoff = Backoff(FIRST_RETRY, LAST_RETRY, self._random)
        check = self._wanted.check
        due = loop.time()
        while True:
            try:
                if not await self._is_there():
                    await self._register()
                    due = loop.time()
                if check is not None and check.ttl is not None and loop.time() >= due:
                    due = loop.time() + check.interval
                    await self._tell_health(check)
            except ConsulError as error:
                self._failed(str(error))
                await asyncio.sleep(backoff.next_delay())
                continue
            backoff.reset()
            self._succeeded()
            wait = POLL if check is None or check.ttl is None else min(POLL, check.interval)
            await asyncio.sleep(wait)

    async def leave(self) -> None:
        """Take it out. Raises `ConsulError`."""
        await self._agent.ask(lambda consul: consul.agent.service.deregister(self._id))
        if self._state.registered:
            self._say(EventType.NORMAL, "Deregistered", f"{self._id} is taken out of {self._agent.address}")
        self._state = msgspec.structs.replace(self._state, registered=False)

    # -- what the agent has --------------------------------------------------------------

    async def _is_there(self) -> bool:
        """Whether the agent has it, and as it is wanted."""
        if self._wanted.address == AUTOMATIC:
            self._address = await self._agent.local_address()
        found = await self._agent.ask(lambda consul: consul.agent.service_definition(self._id))
        wanted, weights = self._wanted, self._wanted.weights
        return isinstance(found, dict) and (
            found.get("Service"),
            found.get("Port"),
            found.get("Address") or "",
            list(found.get("Tags") or ()),
            dict(found.get("Meta") or {}),
            found.get("Weights") or _weights(weights),
        ) == (
            wanted.name,
            wanted.port,
            self._address,
            list(wanted.tags),
            wanted.meta,
            _weights(weights),
        )

    async def _register(self) -> None:
        wanted = self._wanted
        await self._agent.ask(
            lambda consul: consul.agent.service.register(
                wanted.name,
                service_id=self._id,
                address=self._address or None,
                port=wanted.port,
                tags=list(wanted.tags),
                meta=wanted.meta,
                weights=_weights(wanted.weights),
                check=self._definition(wanted.check) if wanted.check is not None else None,
                replace_existing_checks=True,
            )
        )
        self._say(EventType.NORMAL, "Registered", f"{self._id} is registered with {self._agent.address}")

    def _definition(self, check: RegisteredCheck) -> dict[str, Any]:
        """The check as Consul wants it."""
        host = self._address or LOCAL
        interval, timeout = format_duration(check.interval), format_duration(check.timeout)
        gone = check.deregister_critical_service_after
        deregister = format_duration(gone) if gone is not None else None
        made: dict[str, Any]
        if check.ttl is not None:
            made = Check.ttl(format_duration(check.ttl))
            made |= {"DeregisterCriticalServiceAfter": deregister} if deregister else {}
        elif check.http is not None:
            url = f"http://{SocketAddress(host, self._wanted.port)}{check.http.path}"
            made = Check.http(url, interval, timeout, deregister)
        else:
            made = Check.tcp(host, self._wanted.port, interval, timeout, deregister)
        return made | {"CheckID": self._check_id}

    # -- our own check -------------------------------------------------------------------

    async def _tell_health(self, check: RegisteredCheck) -> None:
        reason = await self._probe(check)
        if reason is None:
            return
        health = f"critical: {reason}" if reason else "passing"
        if health != self._state.health and self._state.health:
            kind = EventType.WARNING if reason else EventType.NORMAL
            self._say(kind, "RegisteredHealth", f"{self._id} is {health}")
        if reason:
            told = await self._agent.ask(lambda consul: consul.agent.check.ttl_fail(self._check_id, notes=reason))
        else:
            told = await self._agent.ask(lambda consul: consul.agent.check.ttl_pass(self._check_id, notes="passing"))
        if not told:
            raise ConsulError(f"{self._agent.address} does not know the check {self._check_id}")
        self._state = msgspec.structs.replace(self._state, health=health)

    async def _probe(self, check: RegisteredCheck) -> str | None:
        """Why the service fails; empty where it passes, None where this machine could not find out."""
        if check.http is None and check.tcp is None:
            return ""
        host = LOCAL if self._wanted.address == AUTOMATIC else self._address or LOCAL
        address = SocketAddress(host, self._wanted.port)
        try:
            return await probe(address, _health_check(check))
        except ProbeNotPossible as error:
            _log.warning("the check of %s tells nothing: %s", self._id, error)
            return None

    # -- what people see -----------------------------------------------------------------

    def _failed(self, problem: str) -> None:
        if problem != self._state.problem:
            self._say(EventType.WARNING, "RegistrationFailing", f"{self._id}: {problem}")
        self._state = msgspec.structs.replace(self._state, registered=False, problem=problem)

    def _succeeded(self) -> None:
        self._state = msgspec.structs.replace(self._state, registered=True, problem="")

    def _say(self, kind: EventType, reason: str, message: str) -> None:
        self._on_event(Event(type=kind, reason=reason, subject=f"Registration/{self._wanted.name}", message=message))


def _weights(weights: RegisteredWeights | None) -> dict[str, int]:
    weights = weights or RegisteredWeights()
    return {"Passing": weights.passing, "Warning": weights.warning}


def _health_check(check: RegisteredCheck) -> HealthCheck:
    return HealthCheck(
        interval=check.interval,
        timeout=check.timeout,
        unhealthy_threshold=1,
        healthy_threshold=1,
        http_path=check.http.path if check.http is not None else None,
        expected_statuses=EXPECTED,
    )
