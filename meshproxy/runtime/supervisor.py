"""The supervisor: wires everything together, and lives until it is told to drain."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random, SystemRandom

import msgspec

from meshproxy.admin.server import AdminServer
from meshproxy.aio.coalesce import Coalescer
from meshproxy.aio.service_manager import READY, STOPPING, tell_service_manager
from meshproxy.aio.tasks import OwnedTasks
from meshproxy.base.addresses import SocketAddress
from meshproxy.base.bind_errors import explain_bind_error
from meshproxy.base.errors import MeshproxyError
from meshproxy.base.events import Event, EventType
from meshproxy.controlplane.control_plane import ControlPlane
from meshproxy.controlplane.last_good import LastGoodFile
from meshproxy.controlplane.publisher import Publish
from meshproxy.controlplane.saved_sources import SavedSources
from meshproxy.dns.server import DNSServer
from meshproxy.health.monitor import HealthMonitor
from meshproxy.identity.inventory import CertificateInventory, Listed
from meshproxy.identity.keeper import IdentityKeeper
from meshproxy.identity.sources.surroundings import Surroundings
from meshproxy.registry.files import FilesSource
from meshproxy.runtime.identity_sources import IdentitySources
from meshproxy.runtime.listener_sockets import ListenerSockets
from meshproxy.runtime.local_services import LocalServices
from meshproxy.runtime.options import RunOptions
from meshproxy.runtime.reports import Reports
from meshproxy.runtime.sources import Registries
from meshproxy.runtime.tls_materials import TLSMaterials
from meshproxy.runtime.view import Parts, RunningProxy
from meshproxy.runtime.worker_pool import WorkerPool
from meshproxy.snapshot.messages import (
    AccessRecord,
    AccessRecords,
    EndpointFailing,
    RequestDurations,
    RequestStats,
    Stats,
    TLSStats,
    TraceRecords,
)
from meshproxy.snapshot.model import ProxySettings, open_listeners
from meshproxy.snapshot.tls import TLSMaterial
from meshproxy.telemetry.events import EventLog
from meshproxy.telemetry.export import TelemetryExport
from meshproxy.telemetry.logs import configure_logging
from meshproxy.telemetry.metrics import Family
from meshproxy.telemetry.request_durations import DurationCounts, DurationKind

BIND_RETRY = 2.0
"""Seconds between tries to bind what could not be bound."""
FORGET_INTERVAL = 5.0
"""Seconds between looks at what is no longer counted, at least: with thousands of endpoints they take a while."""
DRAIN_GRACE = 5.0
"""Seconds beyond the drain timeout until workers that do not end are killed."""

_log = logging.getLogger(__name__)


class StartError(MeshproxyError):
    """The proxy cannot start; the message says why and what would help."""


class Supervisor:
    """Implements `worker_pool.PoolListener`. Owns every part of the process; nothing here touches traffic."""

    def __init__(
        self,
        settings: ProxySettings,
        overrides: frozenset[str],
        control_plane: ControlPlane,
        identity: IdentityKeeper,
        local_services: LocalServices,
        log: EventLog,
        dns_address: SocketAddress | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._overrides = overrides
        self._control_plane = control_plane
        self._settings = settings
        export = TelemetryExport(
            self._metric_families,
            self._request_durations,
            time.time,  # noqa: TID251
            Random().random,
        )
        self._reports = Reports.of(export, log)
        self._workers = settings.workers or len(os.sched_getaffinity(0))
        self._sockets = ListenerSockets(self._workers)
        self._health = HealthMonitor(
            clock=loop.time, random=Random(), on_changes=self._health_changed, on_event=log.record
        )
        self._dns = DNSServer(
            clock=loop.time,
            random=SystemRandom(),
            usable=lambda cluster, endpoint: self._health.health_of(cluster, endpoint).usable,
            on_event=log.record,
            address=dns_address,
        )
        self._pool = WorkerPool(
            self._workers,
            self._sockets,
            (settings.log_format, settings.log_level),
            self,
            self._current_materials,
            self._health.unusable,
            log.record,
        )
        self._identity = identity
        self._materials = TLSMaterials(
            identity.identity, self._pool.put_materials, self._pool.keep_materials, log.record
        )
        self._local_services = local_services
        self._certificates = CertificateInventory(self._listed, identity.wall_clock, log.record)
        parts = Parts(
            control_plane, self._pool, self._sockets, self._health, identity, self._certificates, self._materials,
            self._dns, self._reports, local_services,
        )  # fmt: skip
        self._view = RunningProxy(parts, loop.time, self.drain)
        self._admin = AdminServer(self._view, settings.admin, _token(settings))
        self._tasks = OwnedTasks()
        self._forgetter = Coalescer(self._forget_the_past, delay=0.0, interval=FORGET_INTERVAL)
        self._drained = asyncio.Event()
        self._interrupts = 0
        self._is_said_to_be_ready = False

    async def run(self) -> None:
        """Serve until drained."""
        try:
            await self._admin.start()
        except OSError as error:
            raise StartError(f"the admin API: {explain_bind_error(self._settings.admin, error)}") from error
        _log.info("the admin API is at http://%s", self._admin.address)
        self._handle_signals()
        self._control_plane.publish = self._publish
        self._publish([])
        self._tasks.start(self._health.run(), name="health monitor")
        self._tasks.start(self._certificates.run(), name="expiry of certificates")
        self._tasks.start(self._materials.run(), name="TLS materials")
        self._tasks.start(self._local_services.run(), name="identity of local services")
        self._tasks.start(self._retry_binds(), name="bind retries")
        self._tasks.start(self._forgetter.run(), name="counts of the past")
        self._tasks.start(self._dns.run(), name="DNS")
        pool = self._tasks.start(self._pool.run(), name="worker pool")
        self._control_plane.follow_proxy(self._local_services.apply)
        try:
            await self._drained.wait()
            await self._finish(pool)
        finally:
            await self._tasks.cancel()
            await self._control_plane.stop()
            await self._identity.stop()
            self._sockets.close()
            await self._dns.stop()
            await self._admin.stop()
            await self._reports.export.stop()
            self._reports.access_log.close()

    # -- configuration -------------------------------------------------------------------

    def _publish(self, publishes: Sequence[Publish]) -> None:
        if self._view.draining:
            return
        snapshot = self._control_plane.current
        self._warn_about_restart(snapshot.settings)
        self._identity.configure(snapshot.settings.identity)
        self._reports.access_log.configure(snapshot.settings.access_log)
        self._reports.export.configure(snapshot.settings.otlp)
        self._materials.configure(self._control_plane.materials, snapshot.tls_files)
        self._bind()
        self._health.apply(snapshot)
        for worker, target, reset in publishes:
            self._pool.publish(worker, target, reset=reset)
        self._dns.apply(snapshot)

    def _listed(self) -> Iterator[Listed]:
        """Every certificate that is in force."""
        yield from self._identity.listed()
        yield from self._materials.listed()

    def _metric_families(self) -> Iterable[Family]:
        return self._view.metric_families()

    def _request_durations(self) -> Mapping[DurationKind, DurationCounts]:
        return self._reports.durations.sums()

    def _current_materials(self) -> tuple[TLSMaterial, ...]:
        return self._materials.current()

    def _bind(self) -> None:
        before = dict(self._sockets.problems)
        self._sockets.bind(open_listeners(self._control_plane.current))
        services = {listener.name: listener.service for listener in self._control_plane.current.listeners}
        for name, problem in self._sockets.problems.items():
            if before.get(name) != problem:
                subject = f"Service/{services[name].removeprefix('default/')}"
                self._reports.events.record(
                    Event(type=EventType.WARNING, reason="ListenerFailed", subject=subject, message=problem)
                )

    async def _retry_binds(self) -> None:
        """A port may become free: then its listener joins the others."""
        while True:
            await asyncio.sleep(BIND_RETRY)
            failed = set(self._sockets.problems)
            if not failed or self._view.draining:
                continue
            self._bind()
            if failed - set(self._sockets.problems):
                for worker in self._pool.workers:
                    if self._pool.version_of(worker.index):
                        self._pool.publish(worker.index, self._control_plane.current, reset=False)

    def _warn_about_restart(self, settings: ProxySettings) -> None:
        for field in {"workers", "admin"} - self._overrides:
            wanted, is_now = getattr(settings, field), getattr(self._settings, field)
            if wanted != is_now:
                message = "spec.%s is now %s instead of %s: this takes effect at the next start"
                _log.warning(message, field, wanted, is_now)

    def _health_changed(self, changes: Sequence[tuple[str, str, bool]]) -> None:
        self._pool.change_health(changes)
        self._dns.health_changed(cluster for cluster, _, _ in changes)

    # -- from workers (PoolListener) -----------------------------------------------------

    def worker_joined(self, worker: int) -> None:
        self._control_plane.worker_joined(worker)

    def worker_left(self, worker: int) -> None:
        self._reports.totals.worker_left(worker)
        self._reports.requests.worker_left(worker)
        self._reports.handshakes.worker_left(worker)
        self._reports.callers.worker_left(worker)
        self._reports.durations.worker_left(worker)
        self._control_plane.worker_left(worker)

    def acknowledged(self, worker: int, version: str) -> None:
        self._control_plane.acknowledged(worker, version)
        self._say_that_it_is_ready()
        if self._control_plane.is_settled:
            self._sockets.keep_only({listener.name for listener in open_listeners(self._control_plane.current)})
            self._forgetter.changed()

    def _say_that_it_is_ready(self) -> None:
        """Once: what depends on this service may start, since Services answer."""
        if not self._is_said_to_be_ready and not self._view.not_ready_reason():
            self._is_said_to_be_ready = True
            tell_service_manager(READY, f"serving; the admin API is at http://{self._admin.address}")

    def rejected(self, worker: int, version: str, reason: str) -> None:
        self._control_plane.rejected(worker, version, reason)

    def statistics(self, worker: int, stats: Stats) -> None:
        self._reports.totals.absorb(worker, stats)
        self._reports.callers.absorb(worker, stats.callers)

    def request_statistics(self, worker: int, stats: RequestStats) -> None:
        self._reports.requests.absorb(worker, stats)

    def handshake_statistics(self, worker: int, stats: TLSStats) -> None:
        self._reports.handshakes.absorb(worker, stats)

    def duration_statistics(self, worker: int, stats: RequestDurations) -> None:
        self._reports.durations.absorb(worker, stats)

    def requests_finished(self, records: AccessRecords) -> None:
        self._reports.access_log.write(records)
        self._reports.export.export_requests(records)

    def requests_seen(self, records: Sequence[AccessRecord]) -> None:
        self._reports.recent.add(records)

    def requests_traced(self, records: TraceRecords) -> None:
        self._reports.export.export_traces(records)
        self._reports.exemplars.absorb(records.records)

    def endpoint_failing(self, failing: EndpointFailing) -> None:
        self._health.endpoint_failing(failing.cluster, failing.endpoint, failing.failures, failing.reason)

    async def _forget_the_past(self) -> None:
        """What the snapshot does not name may go, once every worker has it."""
        if not self._control_plane.is_settled:
            return  # and is called again when it is
        snapshot = self._control_plane.current
        names = {listener.name for listener in snapshot.listeners}
        endpoints = {(each.cluster, endpoint.id) for each in snapshot.assignments for endpoint in each.endpoints}
        self._reports.totals.keep_only(endpoints, names)
        self._reports.requests.keep_only(snapshot)
        self._reports.exemplars.keep_only(names)
        self._reports.handshakes.keep_only(snapshot)
        self._reports.durations.keep_only(names)
        of_files = (each.name for each in snapshot.tls_files)
        self._materials.keep_only((*of_files, *(each.name for each in self._control_plane.materials)))

    # -- the end -------------------------------------------------------------------------

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.drain)
        loop.add_signal_handler(signal.SIGINT, self._interrupted)
        loop.add_signal_handler(signal.SIGHUP, self._hung_up)

    def _hung_up(self) -> None:
        _log.info("SIGHUP: looking at every source again, and opening the access log anew")
        self._reports.access_log.reopen()
        self._control_plane.refresh()
        self._identity.refresh()

    def _interrupted(self) -> None:
        self._interrupts += 1
        if self._interrupts > 1:
            os._exit(130)
        _log.info("draining; interrupt again to stop at once")
        self.drain()

    def drain(self) -> None:
        """Leave the registries, stop accepting, finish what is open, end."""
        if not self._view.draining:
            self._view.draining = True
            tell_service_manager(STOPPING, "draining: open connections are finished")
            self._tasks.start(self._drain(), name="drain")

    async def _drain(self) -> None:
        # Whoever finds this machine in a registry is served until they can know better.
        await self._local_services.end()
        timeout = self._control_plane.current.settings.drain_timeout
        _log.info("draining: no new connections; open ones have %g s", timeout)
        # First, so that nobody is taken into a queue that workers have emptied and left.
        self._sockets.close()
        self._pool.drain(timeout)
        self._drained.set()

    async def _finish(self, pool: asyncio.Task[None]) -> None:
        timeout = self._control_plane.current.settings.drain_timeout
        done, _ = await asyncio.wait([pool], timeout=timeout + DRAIN_GRACE)
        if not done:
            _log.error("workers did not end within %g s: they are killed", timeout + DRAIN_GRACE)


def _token(settings: ProxySettings) -> str:
    if not settings.admin_token_file:
        return ""
    try:
        token = Path(settings.admin_token_file).read_text().strip()
    except OSError as error:
        raise StartError(f"spec.admin.tokenFile: {settings.admin_token_file}: {error.strerror}") from error
    if not token:
        raise StartError(f"spec.admin.tokenFile: {settings.admin_token_file} is empty; it must hold the token")
    return token


async def _run(options: RunOptions) -> None:
    loop = asyncio.get_running_loop()
    event_log = EventLog(time.time)  # noqa: TID251 the composition root hands out the clocks
    control_plane = ControlPlane(
        [FilesSource(options.paths)],
        hostname=socket.gethostname(),
        clock=loop.time,
        last_good_file=LastGoodFile(options.state_dir) if options.state_dir else None,
        on_event=event_log.record,
        registries=Registries(Random().random),
        saved=SavedSources(options.state_dir, time.time) if options.state_dir else None,  # noqa: TID251
    )
    try:
        snapshot = await control_plane.start()
        overrides = {
            name: value
            for name in ("workers", "admin", "log_format", "log_level")
            if (value := getattr(options, name)) is not None
        }
        gc.freeze()  # thousands of resources that stay are not looked at again and again
        settings = msgspec.structs.replace(snapshot.settings, **overrides)
        configure_logging(settings.log_format, settings.log_level, sys.stderr)
        identity = _identity_keeper(options, event_log)
        local_services = LocalServices(identity.identity, Random().random, event_log.record)
        supervisor = Supervisor(
            settings, frozenset(overrides), control_plane, identity, local_services, event_log, options.dns
        )
        await supervisor.run()
    finally:
        await control_plane.stop()


def _identity_keeper(options: RunOptions, event_log: EventLog) -> IdentityKeeper:
    wall_clock = time.time  # noqa: TID251 the composition root hands out the clocks
    make_source = IdentitySources(options.state_dir, Surroundings(wall_clock, Random().random)).make
    return IdentityKeeper(make_source, wall_clock, event_log.record)


def run(options: RunOptions) -> None:
    """Run a proxy until it is drained.

    Raises `ConfigError` when the configuration is invalid and there is no last good one, and
    `StartError` when something else keeps it from starting.
    """
    configure_logging(options.log_format or "text", options.log_level or "info", sys.stderr)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(_run(options))
