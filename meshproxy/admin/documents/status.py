"""How the proxy does."""

from __future__ import annotations

from meshproxy import __version__
from meshproxy.admin.documents import tls
from meshproxy.admin.documents.requests import RequestsRow, requests_row
from meshproxy.admin.documents.row import Row
from meshproxy.admin.documents.tls import TLSStatus
from meshproxy.admin.view import ConfigStatus, ProxyView, RegistrationStatus, SourceState, WorkerStatus
from meshproxy.base.errors import Finding
from meshproxy.identity.status import IdentityStatus
from meshproxy.telemetry.access_log import AccessLogStatus
from meshproxy.telemetry.dns import DNSReport
from meshproxy.telemetry.export import SignalStatus
from meshproxy.telemetry.request_totals import sum_of


class StatusDocument(Row, frozen=True, kw_only=True):
    """`requests` are those of all listeners, malformed ones included."""

    version: str
    name: str
    uptime: float
    ready: bool
    reason: str
    config: ConfigStatus
    workers: tuple[WorkerStatus, ...]
    sources: tuple[SourceState, ...]
    registrations: tuple[RegistrationStatus, ...]
    identity: IdentityStatus | None
    tls: TLSStatus
    dns: DNSReport | None
    listeners: int
    failed_listeners: dict[str, str]
    requests: RequestsRow
    access_log: AccessLogStatus
    exports: tuple[SignalStatus, ...]
    diagnostics: tuple[Finding, ...]


def document(view: ProxyView) -> StatusDocument:
    snapshot = view.snapshot()
    reason = view.not_ready_reason()
    return StatusDocument(
        version=__version__,
        name=snapshot.settings.name,
        uptime=view.uptime(),
        ready=not reason,
        reason=reason,
        config=view.config(),
        workers=view.workers(),
        sources=view.sources(),
        registrations=view.registrations(),
        identity=view.identity(),
        tls=tls.document(view),
        dns=view.dns(),
        listeners=len(snapshot.listeners),
        failed_listeners=dict(view.listener_problems()),
        requests=requests_row(sum_of(view.rule_requests().values())),
        access_log=view.access_log(),
        exports=view.exports(),
        diagnostics=view.diagnostics(),
    )
