"""The running proxy as the admin API sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from meshproxy.admin.view import ConfigStatus, RegistrationStatus, SourceState, WorkerStatus
from meshproxy.base.errors import Finding
from meshproxy.controlplane.control_plane import ControlPlane
from meshproxy.controlplane.store import SourceStatus
from meshproxy.dns.server import DNSServer
from meshproxy.health.monitor import HealthMonitor
from meshproxy.health.states import Ejections, EndpointHealth
from meshproxy.identity.expiry import CertificateState
from meshproxy.identity.inventory import CertificateInventory
from meshproxy.identity.keeper import IdentityKeeper
from meshproxy.identity.status import CertificateStatus, IdentityStatus
from meshproxy.runtime.listener_sockets import ListenerSockets
from meshproxy.runtime.local_services import LocalServices
from meshproxy.runtime.reports import Reports
from meshproxy.runtime.tls_materials import TLSMaterials
from meshproxy.runtime.worker_pool import WorkerPool
from meshproxy.snapshot.messages import CallerStats, RequestCounts
from meshproxy.snapshot.model import Snapshot
from meshproxy.telemetry.access_log import AccessLogStatus
from meshproxy.telemetry.caller_totals import CallerKey
from meshproxy.telemetry.dns import DNSExplanation, DNSReport
from meshproxy.telemetry.events import RecordedEvent
from meshproxy.telemetry.export import SignalStatus
from meshproxy.telemetry.handshake_totals import HandshakeKey
from meshproxy.telemetry.metrics import Family, IdentityMetrics, MetricsInput, SourceMetrics
from meshproxy.telemetry.prometheus import families, render, render_open_metrics
from meshproxy.telemetry.recent_requests import RecentRequest
from meshproxy.telemetry.request_totals import DecisionKey, EndpointRequests, FlagKey, RuleKey
from meshproxy.telemetry.totals import EndpointTotals, ListenerTotals

_ENDING = (CertificateState.EXPIRES_SOON, CertificateState.EXPIRED)


class Parts(NamedTuple):
    """What a running proxy consists of; the supervisor owns them."""

    control_plane: ControlPlane
    pool: WorkerPool
    sockets: ListenerSockets
    health: HealthMonitor
    identity: IdentityKeeper
    certificates: CertificateInventory
    materials: TLSMaterials
    dns: DNSServer
    reports: Reports
    local_services: LocalServices


class RunningProxy:
    """Implements `admin.view.ProxyView`; reads the parts, owns none of them."""

    def __init__(self, parts: Parts, clock: Callable[[], float], drain: Callable[[], None]) -> None:
        self._control_plane, self._pool, self._sockets, self._health = parts[:4]
        self._identity, self._certificates, self._materials, self._dns = parts[4:8]
        self._reports, self._local_services = parts[8:]
        self._clock = clock
        self._drain = drain
        self._started_at = clock()
        self.draining = False

    def snapshot(self) -> Snapshot:
        return self._control_plane.current

    def health(self, cluster: str, endpoint_id: str) -> EndpointHealth:
        return self._health.health_of(cluster, endpoint_id)

    def now(self) -> float:
        return self._clock()

    def uptime(self) -> float:
        return self._clock() - self._started_at

    def endpoint_totals(self) -> Mapping[tuple[str, str], EndpointTotals]:
        return self._reports.totals.endpoints()

    def handshakes(self) -> Mapping[HandshakeKey, int]:
        return self._reports.handshakes.sums()

    def listener_totals(self) -> Mapping[str, ListenerTotals]:
        return self._reports.totals.listeners()

    def rule_requests(self) -> Mapping[RuleKey, RequestCounts]:
        return self._reports.requests.rules()

    def endpoint_requests(self) -> Mapping[tuple[str, str], EndpointRequests]:
        return self._reports.requests.endpoints()

    def response_flags(self) -> Mapping[FlagKey, int]:
        return self._reports.requests.flags()

    def callers(self) -> Mapping[CallerKey, CallerStats]:
        return self._reports.callers.sums()

    def decisions(self) -> Mapping[DecisionKey, int]:
        return self._reports.requests.decisions()

    def ejections(self) -> Mapping[tuple[str, str], Ejections]:
        return self._health.ejections()

    def access_log(self) -> AccessLogStatus:
        return self._reports.access_log.status()

    def listener_problems(self) -> Mapping[str, str]:
        return self._sockets.problems

    def workers(self) -> tuple[WorkerStatus, ...]:
        now = self._clock()
        return tuple(
            WorkerStatus(
                id=worker.index,
                pid=worker.pid,
                state=worker.state.value,
                restarts=worker.restarts,
                uptime=now - worker.started_at,
                version=self._pool.version_of(worker.index),
            )
            for worker in self._pool.workers
        )

    def sources(self) -> tuple[SourceState, ...]:
        now = self._clock()
        return tuple(
            SourceState(
                name=status.name,
                address=status.address,
                state=status.state,
                resources=status.resources,
                counts=status.counts,
                held=status.held,
                age=now - status.changed_at if status.changed_at else None,
                stale=status.stale(now),
                errors=status.errors,
                problem=status.problem,
            )
            for status in self._control_plane.source_statuses()
        )

    def registrations(self) -> tuple[RegistrationStatus, ...]:
        return self._local_services.statuses()

    def config(self) -> ConfigStatus:
        state, now = self._control_plane.state, self._clock()
        return ConfigStatus(
            version=state.version,
            last_good=state.last_good,
            age=now - state.published_at,
            rejections=state.rejections,
            rejection=state.rejection,
            rejection_age=now - state.rejected_at if state.rejection else None,
        )

    def certificates(self) -> tuple[CertificateStatus, ...]:
        return self._certificates.rows()

    def tls_problems(self) -> tuple[str, ...]:
        return tuple(self._materials.problems().values())

    def identity(self) -> IdentityStatus | None:
        return self._identity.status()

    def dns(self) -> DNSReport | None:
        return self._dns.report()

    def explain_name(self, name: str, kind: str) -> DNSExplanation:
        return self._dns.explain(name, kind)

    def diagnostics(self) -> tuple[Finding, ...]:
        return self._control_plane.diagnostics()

    def events(self, subject: str | None = None) -> tuple[RecordedEvent, ...]:
        return self._reports.events.events(subject)

    def recent_requests(self, after: int = 0) -> tuple[RecentRequest, ...]:
        return self._reports.recent.after(after)

    def not_ready_reason(self) -> str:
        if self.draining:
            return "draining"
        if not self._control_plane.state.last_good:
            return "no configuration is in force in every worker yet"
        if not any(self._pool.version_of(worker.index) for worker in self._pool.workers):
            return "no worker is up"
        return ""

    def exports(self) -> tuple[SignalStatus, ...]:
        return self._reports.export.status()

    def metric_families(self) -> Iterable[Family]:
        return families(self._metrics_input())

    def metrics(self, *, open_metrics: bool) -> Iterator[bytes]:
        return (render_open_metrics if open_metrics else render)(self._metrics_input())

    def _metrics_input(self) -> MetricsInput:
        unusable = frozenset((cluster, endpoint) for cluster, endpoint, _ in self._health.unusable())
        log = self._reports.access_log.status()
        return MetricsInput(
            snapshot=self.snapshot(),
            endpoints=self._reports.totals.endpoints(),
            listeners=self._reports.totals.listeners(),
            rules=self._reports.requests.rules(),
            endpoint_requests=self._reports.requests.endpoints(),
            flags=self._reports.requests.flags(),
            decisions=self.decisions(),
            handshakes=self.handshakes(),
            ejections=self._health.ejections(),
            access_log=(log.lines, log.dropped),
            unusable=unusable,
            unbound=frozenset(self._sockets.problems),
            worker_states=tuple(worker.state.value for worker in self._pool.workers),
            worker_restarts=sum(worker.restarts for worker in self._pool.workers),
            shortages=self._reports.totals.shortages,
            rejections=self._control_plane.state.rejections,
            rejected=bool(self._control_plane.state.rejection),
            last_good=self._control_plane.state.last_good,
            sources=tuple(map(self._metrics_of, self._control_plane.source_statuses())),
            identity=_identity_metrics(self._identity.status()),
            expirations={
                (each.kind, each.name, each.issuer, each.serial): (int(each.not_after), each.state in _ENDING)
                for each in self._certificates.rows()
            },
            dns=self._dns.report(),
            exports={each.signal: (each.sent, each.dropped, each.waiting) for each in self.exports()},
            exemplars=self._reports.exemplars.all(),
        )

    def _metrics_of(self, status: SourceStatus) -> SourceMetrics:
        return SourceMetrics(
            name=status.name,
            up=not status.problem,
            counts=status.counts,
            held=status.held,
            stale=int(status.stale(self._clock()) or 0),
            errors=status.errors,
        )

    def drain(self) -> None:
        self._drain()


def _identity_metrics(status: IdentityStatus | None) -> IdentityMetrics | None:
    if status is None:
        return None
    return IdentityMetrics(
        source=status.source,
        up=not status.problem,
        changes=status.changes,
        failures=status.failures,
    )
