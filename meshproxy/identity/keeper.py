"""Keeps this proxy's identity: the last good one, whatever happens to its source."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import chain

from meshproxy.aio.tasks import OwnedTasks
from meshproxy.aio.watch import Watch
from meshproxy.base.events import Event, EventSink, EventType
from meshproxy.identity.inventory import CRL, IDENTITY, ROOT, Listed, statuses_of
from meshproxy.identity.sources.api import IdentitySource, Trouble
from meshproxy.identity.status import IdentityStatus
from meshproxy.snapshot.identity import Identity, IdentitySettings

MakeSource = Callable[[IdentitySettings], IdentitySource]


class IdentityKeeper:
    """Owns `identity`, which is None while there is none. `wall_clock` tells seconds since 1970."""

    def __init__(self, make_source: MakeSource, wall_clock: Callable[[], float], on_event: EventSink) -> None:
        self.identity: Watch[Identity | None] = Watch(None)
        self._make_source = make_source
        self.wall_clock = wall_clock
        self._on_event = on_event
        self._tasks = OwnedTasks()
        self._settings: IdentitySettings | None = None
        self._source: IdentitySource | None = None
        self._running: asyncio.Task[None] | None = None
        self._problem = ""
        self._changes = 0
        self._failures = 0

    def configure(self, settings: IdentitySettings | None) -> None:
        """Use another source from now on, if `settings` differ. What is in force stays until that has something better.

        Without settings there is no identity.
        """
        if settings == self._settings:
            return
        self._settings = settings
        if self._running is not None:
            self._running.cancel()
        self._source = self._running = None
        self._problem = ""
        if settings is None:
            self.identity.set(None)
            return
        source = self._source = self._make_source(settings)

        def emit(found: Identity | Trouble) -> None:
            if self._source is source:
                self._found(found)

        at_hand = source.at_hand()
        if at_hand is not None:
            self._found(at_hand)
        self._running = self._tasks.start(source.run(emit), name=f"identity from {source.name}")

    def refresh(self) -> None:
        """Have the source look again."""
        if self._source is not None:
            self._source.refresh()

    def listed(self) -> tuple[Listed, ...]:
        """The certificates of the identity, for the inventory."""
        identity = self.identity.value
        if identity is None:
            return ()
        own = Listed(IDENTITY, identity.spiffe_id, identity.certificate_chain)
        return own, Listed(ROOT, "", identity.trust_bundle), Listed(CRL, "", identity.crl)

    async def stop(self) -> None:
        """End the source."""
        await self._tasks.cancel()

    def status(self) -> IdentityStatus | None:
        """How the identity does; None where none is configured."""
        if self._source is None:
            return None
        now, identity = self.wall_clock(), self.identity.value
        problem = self._problem
        if identity is None:
            problem = problem or "no identity yet"
        elif identity.not_after <= now:
            problem = problem or self._stays()
        return IdentityStatus(
            source=self._source.name,
            problem=problem,
            changes=self._changes,
            failures=self._failures,
            certificates=tuple(chain.from_iterable(statuses_of(each, now) for each in self.listed())),
        )

    def _found(self, found: Identity | Trouble) -> None:
        if isinstance(found, Trouble):
            self._failures += 1
            if found.message != self._problem:
                self._problem = found.message
                self._on_event(_event(EventType.WARNING, "IdentityFailed", f"{found.message}; {self._stays()}"))
            return
        was_in_trouble, self._problem = bool(self._problem), ""
        if found != self.identity.value:
            self._changes += 1
            self.identity.set(found)
            message = f"{found.spiffe_id}, certificate {found.serial}, is in force"
            self._on_event(_event(EventType.NORMAL, "IdentityChanged", message))
        elif was_in_trouble:
            self._on_event(_event(EventType.NORMAL, "IdentityRecovered", "the source of the identity is well again"))

    def _stays(self) -> str:
        identity = self.identity.value
        if identity is None:
            return "this proxy has no identity, and mutual TLS is not possible"
        left = identity.not_after - self.wall_clock()
        if left <= 0:
            return f"certificate {identity.serial} has expired, and peers refuse it"
        return f"certificate {identity.serial} stays in force, for {left / 60:.0f} more minutes"


def _event(kind: EventType, reason: str, message: str) -> Event:
    return Event(type=kind, reason=reason, subject=IDENTITY, message=message)
