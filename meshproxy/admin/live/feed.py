"""What watchers are told: sections of JSON, each only when it is not what it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import msgspec

from meshproxy import __version__
from meshproxy.admin.documents import routes
from meshproxy.admin.documents.requests import RequestsRow
from meshproxy.admin.documents.row import Row
from meshproxy.admin.live.mesh import Mesh, mesh_of
from meshproxy.admin.live.rates import Rates
from meshproxy.admin.view import ConfigStatus, ProxyView, RegistrationStatus, SourceState, WorkerStatus
from meshproxy.health.states import UNCHECKED
from meshproxy.snapshot.model import Snapshot
from meshproxy.telemetry.access_log import AccessLogStatus
from meshproxy.telemetry.export import SignalStatus

SHOWN_EVENTS = 100
SHOWN_DIAGNOSTICS = 500
"""The newest, and the first: a page is for people."""
_PROCESS = uuid4().hex


class LiveStatus(Row, frozen=True, kw_only=True):
    """As `StatusDocument`, without what has sections of its own; `identity` and `dns` are problems, empty for none.

    `process` is another one after each start of the proxy.
    """

    process: str
    version: str
    name: str
    namespace: str
    uptime: float
    ready: bool
    reason: str
    config: ConfigStatus
    workers: tuple[WorkerStatus, ...]
    sources: tuple[SourceState, ...]
    registrations: tuple[RegistrationStatus, ...]
    identity: str
    dns: str
    failed_listeners: dict[str, str]
    access_log: AccessLogStatus
    exports: tuple[SignalStatus, ...]


class Feed:
    """Computes the sections of a moment, for all watchers at once.

    What follows from the snapshot alone is computed once for each snapshot.
    """

    def __init__(self, view: ProxyView) -> None:
        self._view = view
        self._rates = Rates()
        self._snapshot: Snapshot | None = None
        self._mesh: Mesh
        self._routes: tuple[routes.RouteRow, ...] = ()
        self._values: dict[str, Any] = {}
        self._sections: dict[str, bytes] = {}
        self._shown_until = 0

    def changes(self) -> bytes:
        """Look, and say what is not what it was."""
        before = dict(self._sections)
        self._look()
        changed = [name for name, data in self._sections.items() if before.get(name) is not data]
        newer = self._view.recent_requests(self._shown_until)
        events = [_event(name, self._sections[name]) for name in changed]
        if newer:
            self._shown_until = newer[-1].number
            events.append(_event("requests", msgspec.json.encode(newer)))
        return b"".join(events)

    def everything(self) -> bytes:
        """All sections as they last were: what a new watcher needs to know first."""
        recent = self._view.recent_requests()
        return b"".join(
            (
                *(_event(name, data) for name, data in self._sections.items()),
                _event("requests", msgspec.json.encode(recent)),
            )
        )

    # -- sections ------------------------------------------------------------------------

    def _look(self) -> None:
        view = self._view
        snapshot = view.snapshot()
        if snapshot is not self._snapshot:
            self._take(snapshot)
        self._put("health", list(self._health()))
        self._put("diagnostics", view.diagnostics()[:SHOWN_DIAGNOSTICS])
        self._put("events", view.events()[-SHOWN_EVENTS:])
        certificates = view.certificates()
        # Their remaining time changes with every look, and anyone can tell it from the time of their end.
        self._put("certificates", [msgspec.structs.replace(each, expires_in=0.0) for each in certificates])
        self._put("status", self._status())
        self._rates.look(view)
        self._put("rates", self._rates.document(self._mesh, self._routes))

    def _take(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._mesh = mesh_of(snapshot)
        self._routes = tuple(routes.rows(self._view))
        self._put("mesh", self._mesh.document)
        self._put("routes", [_without_counts(row) for row in self._routes])

    def _put(self, name: str, value: Any) -> None:
        if name not in self._values or self._values[name] != value:
            self._values[name] = value
            self._sections[name] = msgspec.json.encode(value)

    def _health(self) -> Iterator[tuple[str, str, str, bool, str, float]]:
        """(cluster, endpoint, status, usable, reason, since) of endpoints of which anything is known.

        `since` is by the clock of `RatesDocument.now`.
        """
        health = self._view.health
        for service in self._mesh.document.services:
            for cluster in service.clusters:
                for endpoint in cluster.endpoints:
                    state = health(cluster.name, endpoint.id)
                    if state is not UNCHECKED:
                        yield cluster.name, endpoint.id, state.status.value, state.usable, state.reason, state.since

    def _status(self) -> LiveStatus:
        view = self._view
        settings, reason, identity, dns = view.snapshot().settings, view.not_ready_reason(), view.identity(), view.dns()
        return LiveStatus(
            process=_PROCESS,
            version=__version__,
            name=settings.name,
            namespace=settings.namespace,
            uptime=view.uptime(),
            ready=not reason,
            reason=reason,
            config=view.config(),
            workers=view.workers(),
            sources=view.sources(),
            registrations=view.registrations(),
            identity=identity.problem if identity is not None else "",
            dns=dns.problem if dns is not None else "",
            failed_listeners=dict(view.listener_problems()),
            access_log=view.access_log(),
            exports=view.exports(),
        )


def _without_counts(row: routes.RouteRow) -> routes.RouteRow:
    """Which the rates have."""
    backends = tuple(msgspec.structs.replace(each, requests=RequestsRow()) for each in row.backends)
    return msgspec.structs.replace(row, backends=backends, requests=RequestsRow())


def _event(name: str, data: bytes) -> bytes:
    """A Server-Sent Event; JSON has no line ends of its own."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)
