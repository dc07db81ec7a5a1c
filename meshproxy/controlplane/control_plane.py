"""Sources → store → compiler → publisher, and the answers back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from random import random

import msgspec

from meshproxy.aio.coalesce import Coalescer
from meshproxy.aio.tasks import OwnedTasks
from meshproxy.base.errors import ConfigError, Finding, Severity, SnapshotRejected, errors_in
from meshproxy.base.events import Event, EventSink, EventType
from meshproxy.compiler.compile import compile_resources
from meshproxy.compiler.memory import CompileMemory
from meshproxy.controlplane.host_resolver import HostResolver, NameLookup
from meshproxy.controlplane.hostnames import findings_about, names_in, with_addresses
from meshproxy.controlplane.intake import Intake
from meshproxy.controlplane.last_good import LastGoodFile
from meshproxy.controlplane.publisher import Outcome, Publish, Publisher
from meshproxy.controlplane.running_sources import SourceFactory, no_registries
from meshproxy.controlplane.saved_sources import SavedSources
from meshproxy.controlplane.store import SourceStatus
from meshproxy.controlplane.system_names import SystemNames
from meshproxy.loader.places import attach
from meshproxy.resources.proxy import ProxySpec
from meshproxy.resources.update import Source, SourceUpdate
from meshproxy.snapshot.consistency import check_consistency
from meshproxy.snapshot.model import EMPTY, Snapshot
from meshproxy.snapshot.tls import TLSMaterial

COMPILE_DELAY = 0.01
"""Seconds that changes are collected for: a burst of a thousand is one compile."""
COMPILE_INTERVAL = 0.1
"""Seconds between compiles, at least."""
SAVE_INTERVAL = 1.0
"""Seconds between writes of the last good configuration, at least."""
FIRST_UPDATE_TIMEOUT = 10.0
"""Seconds that a source has to say something before we start without it."""
KEPT_UPDATE_TIMEOUT = 2.0
"""The same where something is kept of what it said before the last stop."""
FIRST_NAMES_TIMEOUT = 2.0
"""Seconds that a start waits for the addresses of host names."""

SUBJECT = "Proxy/configuration"

_log = logging.getLogger(__name__)


class ConfigState(msgspec.Struct, frozen=True, kw_only=True):
    """Where the configuration stands. Times are the clock's; `rejection` is empty while nothing is refused."""

    version: str = ""
    last_good: str = ""
    published_at: float = 0.0
    rejections: int = 0
    rejection: str = ""
    rejected_at: float = 0.0


class ControlPlane:
    """Owns the intake and the publisher. `publish` is called with what workers are to be told.

    `sources` run always; `registries` makes those that a Proxy document names. `last_good_file` and `saved` keep
    what there was for the next start.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        hostname: str,
        clock: Callable[[], float],
        last_good_file: LastGoodFile | None,
        on_event: EventSink,
        registries: SourceFactory = no_registries,
        saved: SavedSources | None = None,
        lookup: NameLookup | None = None,
    ) -> None:
        self._hostname = hostname
        self._clock = clock
        self._file = last_good_file
        self._on_event = on_event
        self._intake = Intake(sources, registries, saved, clock, on_event, self._updated)
        self._store = self._intake.store
        self._compile_findings: tuple[Finding, ...] = ()
        self._logged: frozenset[Finding] = frozenset()
        self._tasks = OwnedTasks()
        self._coalescer = Coalescer(self._recompile, delay=COMPILE_DELAY, interval=COMPILE_INTERVAL)
        self._saver = Coalescer(self._save, delay=0.0, interval=SAVE_INTERVAL)
        self._hosts = HostResolver(lookup or SystemNames(), random, on_event, self._coalescer.changed)
        self._memory = CompileMemory()
        self._publisher = Publisher()
        self._state = ConfigState()
        self.materials: tuple[TLSMaterial, ...] = ()
        """Keys and certificates of the latest configuration that could be used, which no snapshot holds."""
        self._published_materials: tuple[TLSMaterial, ...] = ()
        self._started = False
        self.publish: Callable[[Sequence[Publish]], None] = lambda publishes: None

    # -- what people ask -----------------------------------------------------------------

    @property
    def state(self) -> ConfigState:
        return self._state

    @property
    def current(self) -> Snapshot:
        """The snapshot that workers have or are on their way to."""
        return self._publisher.current

    @property
    def is_settled(self) -> bool:
        """Whether every worker has the current snapshot."""
        return self._publisher.is_settled

    def source_statuses(self) -> tuple[SourceStatus, ...]:
        return self._store.statuses()

    def diagnostics(self) -> tuple[Finding, ...]:
        """Everything that is wrong, or odd, with what the sources last said."""
        return (*self._store.findings(), *self._compile_findings)

    def follow_proxy(self, listener: Callable[[ProxySpec], None]) -> None:
        """Call `listener` with what the Proxy document of the files says: now, and whenever that changes."""
        self._intake.on_proxy = listener
        listener(self._intake.proxy)

    # -- life ----------------------------------------------------------------------------

    async def start(self) -> Snapshot:
        """Hear every source once and compile; the first snapshot is returned.

        With an invalid configuration that is the last good one from the state directory;
        without that, `ConfigError` is raised with everything that is wrong.
        """
        self._intake.start()
        await self._hear_sources()
        snapshot = await self._compile()
        errors = errors_in(self.diagnostics())
        if snapshot is None:
            snapshot = self._file.load() if self._file is not None else None
            if snapshot is None:
                raise ConfigError(errors)
            _log.error("the configuration is invalid: starting with the last good one, version %s", snapshot.version)
        for finding in errors:
            _log.error("%s", finding)
        self._started = True
        self._offer(snapshot)
        self._tasks.start(self._coalescer.run(), name="compiler")
        self._tasks.start(self._saver.run(), name="keeper of the last good configuration")
        return snapshot

    async def _hear_sources(self) -> None:
        """Wait for what each source says first, for those of which something is kept not long."""
        try:
            async with asyncio.timeout(FIRST_UPDATE_TIMEOUT):
                try:
                    async with asyncio.timeout(KEPT_UPDATE_TIMEOUT):
                        await self._intake.wait_heard()
                except TimeoutError:
                    if not self._store.all_known:
                        await self._intake.wait_heard()
        except TimeoutError:
            pass
        late = [status.name for status in self._store.statuses() if not status.heard]
        if late:
            _log.warning("starting without a word of %s, with what is kept of it", ", ".join(late))

    def refresh(self) -> None:
        """Have every source look again (SIGHUP)."""
        self._intake.refresh()

    async def stop(self) -> None:
        await self._intake.stop()
        await self._hosts.stop()
        await self._tasks.cancel()

    # -- from sources --------------------------------------------------------------------

    def _updated(self, update: SourceUpdate, changed: bool) -> None:
        errors = errors_in(update.findings)
        if errors:
            self._reject(f"source {update.source}", errors)
        elif not changed:
            self._accepted_again()
        if changed:
            self._coalescer.changed()

    async def _recompile(self) -> None:
        snapshot = await self._compile()
        if snapshot is not None:
            self._offer(snapshot)

    async def _compile(self) -> Snapshot | None:
        """Compile what the store holds, in a thread; None where it cannot be used."""
        if any(self._intake.is_never_right(status) for status in self._store.statuses()):
            return None  # what the files hold is not known
        resources, sources, doubled = self._store.merged()
        names = names_in(resources)
        await self._resolve(names)
        if names:
            resources, sources = with_addresses(resources, sources, self._hosts.answers)
        compiled = await asyncio.to_thread(
            compile_resources, resources, hostname=self._hostname, sources=sources, memory=self._memory
        )
        unresolved = findings_about(names, self._hosts.answers)
        self._find(attach((*doubled, *unresolved, *compiled.findings), self._store.places()))
        errors = errors_in(self._compile_findings)
        if errors:
            self._reject("compiler", errors)
            return None
        try:
            check_consistency(compiled.snapshot)
        except SnapshotRejected as rejected:
            self._reject("consistency check", (), str(rejected))
            return None
        self._accepted_again()
        self.materials = compiled.materials
        return compiled.snapshot

    async def _resolve(self, names: Collection[str]) -> None:
        """Have `names` resolved from now on; a start waits for the first answers, but not long."""
        self._hosts.follow(names)
        if self._started:
            return
        try:
            async with asyncio.timeout(FIRST_NAMES_TIMEOUT):
                await self._hosts.wait_answered()
        except TimeoutError:
            _log.warning("not every host name is resolved within %g s: starting without", FIRST_NAMES_TIMEOUT)

    def _find(self, findings: tuple[Finding, ...]) -> None:
        """Keep what the compiler found, and log the warnings that are new."""
        everything = (*self._store.findings(), *findings)
        for finding in everything:
            if finding.severity is Severity.WARNING and finding not in self._logged:
                _log.warning("%s", finding)
        self._logged = frozenset(everything)
        self._compile_findings = findings

    def _offer(self, snapshot: Snapshot) -> None:
        before = self._publisher.current
        publishes = self._publisher.offer(snapshot)
        if self._publisher.current is before:
            if self.materials != self._published_materials:
                self._published_materials = self.materials
                self.publish(())
            return
        self._published_materials = self.materials
        self._state = msgspec.structs.replace(self._state, version=snapshot.version, published_at=self._clock())
        _log.info(
            "configuration %s: %d services, %d listeners, %d endpoints",
            snapshot.version,
            len(snapshot.services),
            len(snapshot.listeners),
            sum(len(assignment.endpoints) for assignment in snapshot.assignments),
        )
        self.publish(publishes)

    # -- from workers --------------------------------------------------------------------

    def worker_joined(self, worker: int) -> None:
        """A worker process is up and knows nothing."""
        self.publish(self._publisher.worker_joined(worker))

    def worker_left(self, worker: int) -> None:
        self._publisher.worker_left(worker)

    def acknowledged(self, worker: int, version: str) -> None:
        """A worker has `version` in force."""
        if self._publisher.acknowledged(worker, version) is not Outcome.PROMOTED:
            return
        self._state = msgspec.structs.replace(self._state, last_good=version)
        message = f"version {version} is in force in every worker"
        self._on_event(Event(type=EventType.NORMAL, reason="Acknowledged", subject=SUBJECT, message=message))
        if self._file is not None:
            self._saver.changed()

    def rejected(self, worker: int, version: str, reason: str) -> None:
        """A worker refused `version`."""
        outcome, publishes = self._publisher.rejected(worker, version)
        if outcome is Outcome.NOTHING:
            return
        self._reject(f"worker {worker}", (), f"version {version}: {reason}")
        back = self._publisher.current
        version = "" if back is EMPTY else back.version
        self._state = msgspec.structs.replace(self._state, version=version, published_at=self._clock())
        self.publish(publishes)

    async def _save(self) -> None:
        """Keep the last good snapshot, the latest of those there were meanwhile, for the next start."""
        if self._file is not None:
            await asyncio.to_thread(self._file.save, self._publisher.last_good)

    # -- refusals ------------------------------------------------------------------------

    def _reject(self, who: str, errors: Sequence[Finding], problem: str = "") -> None:
        count = f"{len(errors)} error{'s' if len(errors) != 1 else ''}"
        first = f"{count}; the first: {errors[0]}" if errors else problem
        self._state = msgspec.structs.replace(
            self._state,
            rejections=self._state.rejections + 1,
            rejection=f"refused by {who}: {first}",
            rejected_at=self._clock(),
        )
        if not self._started:
            return  # whoever starts us prints what is wrong
        for finding in errors:
            _log.error("%s", finding)
        message = f"a configuration was refused by {who}: {first}; the last good one stays in force"
        self._on_event(Event(type=EventType.WARNING, reason="Rejected", subject=SUBJECT, message=message))

    def _accepted_again(self) -> None:
        if self._state.rejection and not any(errors_in(status.findings) for status in self._store.statuses()):
            self._state = msgspec.structs.replace(self._state, rejection="")
