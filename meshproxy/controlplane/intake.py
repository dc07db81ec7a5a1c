"""From sources to the store: what they say is doubted, kept for the next start, and told on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from itertools import chain

import msgspec

from meshproxy.aio.coalesce import Coalescer
from meshproxy.aio.tasks import OwnedTasks
from meshproxy.base.errors import errors_in
from meshproxy.base.events import Event, EventSink, EventType
from meshproxy.controlplane.running_sources import Registry, RunningSources, SourceFactory
from meshproxy.controlplane.saved_sources import SavedSources
from meshproxy.controlplane.store import ResourceStore, SourceStatus
from meshproxy.resources import Proxy, Service
from meshproxy.resources.intentions import registries_of
from meshproxy.resources.proxy import ProxySpec
from meshproxy.resources.update import Source, SourceUpdate

SAVE_DELAY = 0.2
SAVE_INTERVAL = 2.0
"""Seconds after a change until it is kept for the next start, and between two such writes at least."""

_log = logging.getLogger(__name__)


class Intake:
    """Owns the sources and the store.

    `on_update` is told of each word and whether resources changed by it, `on_proxy` of the Proxy document of the
    files when it is another one than `proxy`.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        factory: SourceFactory,
        saved: SavedSources | None,
        clock: Callable[[], float],
        on_event: EventSink,
        on_update: Callable[[SourceUpdate, bool], None],
    ) -> None:
        self.store = ResourceStore([source.name for source in sources], clock)
        self._running = RunningSources(sources, factory, self._update)
        self.proxy = ProxySpec()
        self.on_proxy: Callable[[ProxySpec], None] = lambda spec: None
        self._saved = saved
        self._unsaved: set[str] = set()
        self._clock = clock
        self._on_event = on_event
        self._on_update = on_update
        self._heard = asyncio.Event()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks = OwnedTasks()
        self._saver = Coalescer(self._save, delay=SAVE_DELAY, interval=SAVE_INTERVAL)

    # -- life ----------------------------------------------------------------------------

    def start(self) -> None:
        self._running.start()
        self._tasks.start(self._saver.run(), name="keeper of what sources said")

    async def wait_heard(self) -> None:
        """Wait until every source has said something, those too that the first ones name."""
        await self._heard.wait()

    def refresh(self) -> None:
        """Have every source look again."""
        self._running.refresh()

    async def stop(self) -> None:
        """End the sources, and keep what those that are well stand behind."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        running = len(self._tasks) > 0
        await self._tasks.cancel()
        await self._running.stop()
        if running:
            names = (name for name in self._running.names if not self._running.is_fixed(name))
            self._unsaved.update(name for name in names if not self.store.status(name).problem)
            await self._save()

    def is_never_right(self, status: SourceStatus) -> bool:
        """Whether the files have been wrong since the start. A registry that is wrong keeps nothing else up."""
        return self._running.is_fixed(status.name) and bool(errors_in(status.findings)) and not status.resources

    # -- what sources say ----------------------------------------------------------------

    def _update(self, update: SourceUpdate) -> None:
        name = update.source
        distrust, now = self._running.distrust(name), self._clock()
        if update.resources is not None:
            in_force = distrust.offer(update.resources, self._services_beside(name), now, update.ended)
            update = msgspec.structs.replace(update, resources=in_force)
        if update.resources is None or update.problem:
            distrust.doubt(now)
        before = self.store.status(name)
        changed = self.store.update(update, distrust.held)
        self._tell(before, self.store.status(name))
        self._wake(name)
        if self._running.is_fixed(name):
            self._follow()
        elif changed:
            self._unsaved.add(name)
            self._saver.changed()
        self._on_update(update, changed)
        if self.store.all_heard:
            self._heard.set()

    def _services_beside(self, name: str) -> Iterable[Service]:
        return (each for each in self.store.others(name) if isinstance(each, Service))

    def _tell(self, before: SourceStatus, after: SourceStatus) -> None:
        """Events for people, where something other than resources changed."""
        subject = f"Source/{after.name}"
        if after.problem and after.problem != before.problem and not after.findings:
            kept = f"; its {after.resources} resources stay in force" if after.resources else ""
            self._on_event(
                Event(type=EventType.WARNING, reason="SourceFailing", subject=subject, message=f"{after.problem}{kept}")
            )
        elif before.problem and not after.problem and not before.findings:
            message = f"is well again, with {after.resources} resources"
            self._on_event(Event(type=EventType.NORMAL, reason="SourceRecovered", subject=subject, message=message))
        if after.held and not before.held:
            message = (
                f"has suddenly lost {after.held} resources, the last ones of their kind: "
                "they stay in force until that is confirmed (emptyConfirmation)"
            )
            self._on_event(Event(type=EventType.WARNING, reason="RemovalHeld", subject=subject, message=message))

    # -- removals that wait --------------------------------------------------------------

    def _wake(self, name: str) -> None:
        """Look again at what `name` lost when its time has come."""
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
        due = self._running.distrust(name).due
        if due is not None:
            delay = max(0.0, due - self._clock())
            self._timers[name] = asyncio.get_running_loop().call_later(delay, self._confirm, name)

    def _confirm(self, name: str) -> None:
        distrust, now = self._running.distrust(name), self._clock()
        if self.store.status(name).problem:
            distrust.doubt(now)
        else:
            resources = distrust.confirm(now)
            if self.store.let_go(name, resources, distrust.held):
                _log.info("source %s: its removals are confirmed; %d resources are left", name, len(resources))
                self._unsaved.add(name)
                self._saver.changed()
                self._on_update(SourceUpdate(source=name, resources=resources), True)
        self._wake(name)

    # -- registries come and go ----------------------------------------------------------

    def _follow(self) -> None:
        """Do what the Proxy document of the files says: only they may say it."""
        fixed = (self.store.resources(name) for name in self._running.names if self._running.is_fixed(name))
        documents = (each for each in chain.from_iterable(fixed) if isinstance(each, Proxy))
        before, self.proxy = self.proxy, next((each.spec for each in documents), ProxySpec())
        registries = registries_of(self.proxy)
        if registries != registries_of(before):
            self._run_only(registries)
        if self.proxy != before:
            self.on_proxy(self.proxy)

    def _run_only(self, specs: Sequence[Registry]) -> None:
        begun, ended = self._running.change(specs)
        for name in ended:
            _log.info("source %s is no longer asked for", name)
            self.store.remove(name)
            self._unsaved.discard(name)
            timer = self._timers.pop(name, None)
            if timer is not None:
                timer.cancel()
        for name in begun:
            self._begin(name)
        self.store.arrange(self._running.names)
        self._running.begin(begun)

    def _begin(self, name: str) -> None:
        address = self._running.address(name)
        self.store.add(name, address)
        if self._saved is not None and not self.store.resources(name):
            restored = self._saved.load(name, address)
            if restored is not None:
                self.store.restore(name, restored.resources, self._clock() - restored.age)
        self._running.distrust(name).offer(self.store.resources(name), (), self._clock())

    async def _save(self) -> None:
        """Write what changed; a source that failed a moment later stood behind it then."""
        names, self._unsaved = self._unsaved, set()
        if self._saved is None:
            return
        for name in names & set(self._running.names):
            status = self.store.status(name)
            if status.heard:
                await asyncio.to_thread(self._saved.save, name, status.address, self.store.resources(name))
