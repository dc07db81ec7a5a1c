"""The read side of a running proxy, as the admin API needs it. The runtime implements it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

import msgspec

from meshproxy.base.errors import Finding
from meshproxy.health.states import Ejections, EndpointHealth
from meshproxy.identity.status import CertificateStatus, IdentityStatus
from meshproxy.snapshot.messages import CallerStats, RequestCounts
from meshproxy.snapshot.model import Snapshot
from meshproxy.telemetry.access_log import AccessLogStatus
from meshproxy.telemetry.caller_totals import CallerKey
from meshproxy.telemetry.dns import DNSExplanation, DNSReport
from meshproxy.telemetry.events import RecordedEvent
from meshproxy.telemetry.export import SignalStatus
from meshproxy.telemetry.handshake_totals import HandshakeKey
from meshproxy.telemetry.recent_requests import RecentRequest
from meshproxy.telemetry.request_totals import DecisionKey, EndpointRequests, FlagKey, RuleKey
from meshproxy.telemetry.totals import EndpointTotals, ListenerTotals


class WorkerStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`uptime` is in seconds; `version` is the configuration that it has in force."""

    id: int
    pid: int
    state: str
    restarts: int
    uptime: float
    version: str


class SourceState(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`state` is ``Connecting``, ``Connected`` or ``Failing``, `counts` are its resources by kind.

    `held` of them it no longer has: they stay until that is confirmed. `age` is seconds since its resources last
    changed, None before the first. `stale` is seconds since it last stood behind them, None while it does or
    before it first did. `errors` counts its problems; `problem` is empty when all is well.
    """

    name: str
    resources: int
    age: float | None
    problem: str
    address: str = ""
    state: str = "Connected"
    counts: Mapping[str, int] = {}
    held: int = 0
    stale: float | None = None
    errors: int = 0


class RegistrationStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A service of this machine in the registry at `address`.

    `health` is what this proxy's own check last said, empty where the registry checks; `problem` why it is not
    registered.
    """

    name: str
    id: str
    address: str
    registered: bool
    health: str
    problem: str


class ConfigStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`rejection` says what was refused last and why, while that is so; ages are in seconds."""

    version: str
    last_good: str
    age: float
    rejections: int
    rejection: str
    rejection_age: float | None


class ProxyView(Protocol):
    """Every answer is a value of the moment; nothing blocks."""

    def snapshot(self) -> Snapshot: ...

    def health(self, cluster: str, endpoint_id: str) -> EndpointHealth: ...

    def now(self) -> float:
        """The clock that `EndpointHealth.since` is by, in seconds."""
        ...

    def endpoint_totals(self) -> Mapping[tuple[str, str], EndpointTotals]: ...

    def handshakes(self) -> Mapping[HandshakeKey, int]:
        """TLS handshakes by side, listener or cluster, and outcome."""
        ...

    def listener_totals(self) -> Mapping[str, ListenerTotals]: ...

    def rule_requests(self) -> Mapping[RuleKey, RequestCounts]:
        """Requests by rule and backend."""
        ...

    def endpoint_requests(self) -> Mapping[tuple[str, str], EndpointRequests]:
        """Requests by (cluster, endpoint id), of endpoints that had one."""
        ...

    def response_flags(self) -> Mapping[FlagKey, int]:
        """How many requests ended with a flag, by (listener, flag)."""
        ...

    def callers(self) -> Mapping[CallerKey, CallerStats]:
        """What callers did, each since it is known: those that are there now, or were a moment ago."""
        ...

    def decisions(self) -> Mapping[DecisionKey, int]:
        """How many calls authorization refused, or would have, by target and policy."""
        ...

    def ejections(self) -> Mapping[tuple[str, str], Ejections]:
        """Of endpoints with outlier detection, by (cluster, endpoint id)."""
        ...

    def access_log(self) -> AccessLogStatus: ...

    def exports(self) -> tuple[SignalStatus, ...]:
        """What is sent to an OpenTelemetry collector, by signal."""
        ...

    def listener_problems(self) -> Mapping[str, str]:
        """Why a listener is not bound, by its name."""
        ...

    def workers(self) -> tuple[WorkerStatus, ...]: ...

    def sources(self) -> tuple[SourceState, ...]: ...

    def registrations(self) -> tuple[RegistrationStatus, ...]: ...

    def config(self) -> ConfigStatus: ...

    def certificates(self) -> tuple[CertificateStatus, ...]:
        """Every one in force."""
        ...

    def tls_problems(self) -> tuple[str, ...]:
        """Why keys, certificates or roots that the configuration names cannot be used."""
        ...

    def identity(self) -> IdentityStatus | None:
        """None where no identity is configured."""
        ...

    def dns(self) -> DNSReport | None:
        """How the DNS server does; None while it is off."""
        ...

    def explain_name(self, name: str, kind: str) -> DNSExplanation:
        """Why DNS answers what it does; raises `ValueError` where `name` is no name, or `kind` no type."""
        ...

    def diagnostics(self) -> tuple[Finding, ...]: ...

    def events(self, subject: str | None = None) -> tuple[RecordedEvent, ...]: ...

    def recent_requests(self, after: int = 0) -> tuple[RecentRequest, ...]:
        """The last ones that workers showed, the oldest first: those after the one with the number `after`."""
        ...

    def not_ready_reason(self) -> str:
        """Why this proxy should get no traffic; empty while it should."""
        ...

    def uptime(self) -> float:
        """Seconds since the start."""
        ...

    def metrics(self, *, open_metrics: bool) -> Iterator[bytes]:
        """Prometheus' text format, or OpenMetrics, in pieces; the values are of the moment of the first."""
        ...

    def drain(self) -> None:
        """Begin a graceful stop."""
        ...
