"""Follows names: resolves each again when its time is over, keeps the last answer through failures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

from meshproxy.aio.tasks import OwnedTasks
from meshproxy.base.backoff import Backoff
from meshproxy.base.errors import MeshproxyError
from meshproxy.base.events import Event, EventSink, EventType
from meshproxy.controlplane.hostnames import Answer

TTL_BOUNDS = (1.0, 30.0)
"""Seconds. More often is unkind to servers. Less often would believe what nobody means: Docker's server says
600 s of containers that come and go."""
RETRY_DELAYS = (0.5, 30.0)
"""Seconds after a failure, at first and at most."""
AT_ONCE = 32
"""Names that are resolved at the same time."""


class Found(NamedTuple):
    """The addresses of a name, and for how many seconds they hold."""

    addresses: tuple[str, ...]
    ttl: float


class LookupFailed(MeshproxyError):
    """A name could not be resolved; the message says why."""


class NameLookup(Protocol):
    """Resolves one name now."""

    async def __call__(self, name: str) -> Found:
        """All IPv4 and IPv6 addresses of `name`, at least one; raises `LookupFailed`."""
        ...


class HostResolver:
    """Owns the answers. `on_change` is called after one changed."""

    def __init__(
        self, lookup: NameLookup, random: Callable[[], float], on_event: EventSink, on_change: Callable[[], None]
    ) -> None:
        self._lookup = lookup
        self._random = random
        self._on_event = on_event
        self._on_change = on_change
        self._answers: dict[str, Answer] = {}
        self._followed: dict[str, asyncio.Task[None]] = {}
        self._answered = asyncio.Condition()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._tasks = OwnedTasks()

    @property
    def answers(self) -> Mapping[str, Answer]:
        return MappingProxyType(self._answers)

    def follow(self, names: Collection[str]) -> None:
        """Resolve these from now on, and no others."""
        for name in self._followed.keys() - set(names):
            self._followed.pop(name).cancel()
            self._answers.pop(name, None)
        for name in sorted(set(names) - self._followed.keys()):
            self._followed[name] = self._tasks.start(self._follow(name), name=f"address of {name}")

    async def wait_answered(self) -> None:
        """Wait until every name was tried once."""
        async with self._answered:
            await self._answered.wait_for(lambda: self._followed.keys() <= self._answers.keys())

    async def stop(self) -> None:
        await self._tasks.cancel()

    async def _follow(self, name: str) -> None:
        backoff = Backoff(*RETRY_DELAYS, self._random)
        while True:
            try:
                async with self._slots:
                    found = await self._lookup(name)
            except LookupFailed as failed:
                before = self._answers.get(name, Answer())
                delay = backoff.next_delay()
                await self._set(name, Answer(addresses=before.addresses, problem=str(failed)))
            else:
                backoff.reset()
                # A tenth less, so that not all names of one moment stay together for ever.
                delay = min(max(found.ttl, TTL_BOUNDS[0]), TTL_BOUNDS[1]) * (1 - self._random() / 10)
                await self._set(name, Answer(addresses=found.addresses))
            await asyncio.sleep(delay)

    async def _set(self, name: str, answer: Answer) -> None:
        before = self._answers.get(name)
        self._answers[name] = answer
        async with self._answered:
            self._answered.notify_all()
        if answer == before:
            return
        self._tell(name, before or Answer(), answer)
        self._on_change()

    def _tell(self, name: str, before: Answer, after: Answer) -> None:
        subject = f"Host/{name}"
        if after.problem and not before.problem:
            kept = f"; {', '.join(after.addresses)} stay in use" if after.addresses else ""
            message = f"cannot be resolved: {after.problem}{kept}"
            self._on_event(Event(type=EventType.WARNING, reason="NameNotResolved", subject=subject, message=message))
        elif before.problem and not after.problem:
            message = f"is resolved again: {', '.join(after.addresses)}"
            self._on_event(Event(type=EventType.NORMAL, reason="NameResolved", subject=subject, message=message))
