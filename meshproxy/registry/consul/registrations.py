"""All services of this machine that are to be in Consul, as the configuration says it now."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from meshproxy.aio.tasks import OwnedTasks
from meshproxy.base.backoff import Backoff
from meshproxy.base.events import EventSink
from meshproxy.registry.consul.agent import ConsulAgent, ConsulError
from meshproxy.registry.consul.announcement import announced
from meshproxy.registry.consul.registration import FIRST_RETRY, LAST_RETRY, KeptRegistration, RegistrationState
from meshproxy.resources.proxy import ProxySpec
from meshproxy.resources.registration import Registration
from meshproxy.resources.sources import ConsulSource

LEAVE_TIMEOUT = 2.0
"""Seconds that the agent has to take everything out before this process ends without."""
LINGER = 0.5
"""Seconds until others have heard of it, and no longer send anyone here."""

Wanted = tuple[Registration, ConsulSource]

_log = logging.getLogger(__name__)


class Registrations:
    """Owns the agents that services are registered with. `make_agent` connects to one."""

    def __init__(
        self,
        make_agent: Callable[[ConsulSource], ConsulAgent],
        node: str,
        random: Callable[[], float],
        on_event: EventSink,
    ) -> None:
        self._make_agent = make_agent
        self._node = node
        self._random = random
        self._on_event = on_event
        self._wanted: list[Wanted] = []
        self._kept: list[tuple[Wanted, KeptRegistration, asyncio.Task[None]]] = []
        self._agents: dict[ConsulSource, ConsulAgent] = {}
        self._tasks = OwnedTasks()
        self._running = False

    def states(self) -> tuple[RegistrationState, ...]:
        return tuple(kept.state for _, kept, _ in self._kept)

    def apply(self, spec: ProxySpec, account: str = "") -> None:
        """These are to be registered from now on; before `start` and after `end` it is only noted.

        `account` is the service account that peers in the mesh will find here, as far as it is known.
        """
        sources = {source.called: source.consul for source in spec.sources if source.consul is not None}
        default = next(iter(sources), "")
        self._wanted = [
            (announced(each, spec, account), source)
            for each in spec.register
            if (source := sources.get(each.source or default)) is not None
        ]
        if self._running:
            self._follow()

    def start(self) -> None:
        """This process serves: others may hear of it."""
        self._running = True
        self._follow()

    async def end(self) -> None:
        """Take everything out, and wait until others have heard of it."""
        self._running = False
        kept, self._kept = self._kept, []
        for _, _, task in kept:
            task.cancel()
        await self._tasks.cancel()
        try:
            async with asyncio.timeout(LEAVE_TIMEOUT):
                left = await asyncio.gather(*(_leave_once(each) for _, each, _ in kept))
        except TimeoutError:
            _log.warning("services stay registered: the agent did not take them out within %g s", LEAVE_TIMEOUT)
            left = []
        if any(left):
            await asyncio.sleep(LINGER)
        for agent in self._agents.values():
            await agent.close()
        self._agents.clear()

    def _follow(self) -> None:
        stays = [each for each in self._kept if each[0] in self._wanted]
        known = [each[0] for each in stays]
        begun = [(wanted, self._make(wanted)) for wanted in self._wanted if wanted not in known]
        places = {_place(kept) for _, kept in begun} | {_place(kept) for _, kept, _ in stays}
        for wanted, gone, task in self._kept:
            if wanted not in self._wanted:
                task.cancel()
                # One that only changed keeps its id, and is registered anew over the old one.
                if _place(gone) not in places:
                    self._tasks.start(self._leave(gone), name=f"leaving {gone.state.id}")
        for wanted, kept in begun:
            stays.append((wanted, kept, self._tasks.start(kept.keep(), name=f"registration {kept.state.id}")))
        self._kept = stays

    def _make(self, wanted: Wanted) -> KeptRegistration:
        registration, source = wanted
        agent = self._agents.get(source) or self._agents.setdefault(source, self._make_agent(source))
        return KeptRegistration(registration, agent, self._node, self._random, self._on_event)

    async def _leave(self, kept: KeptRegistration) -> None:
        """Until the agent has heard it: it would bring the service back at its next start."""
        backoff = Backoff(FIRST_RETRY, LAST_RETRY, self._random)
        while True:
            try:
                await kept.leave()
            except ConsulError:
                await asyncio.sleep(backoff.next_delay())
            else:
                return


def _place(kept: KeptRegistration) -> tuple[str, str]:
    """Which of which agent's services it is."""
    return kept.state.address, kept.state.id


async def _leave_once(kept: KeptRegistration) -> bool:
    try:
        await kept.leave()
    except ConsulError as error:
        _log.warning("%s stays registered: %s", kept.state.id, error)
        return False
    return True
