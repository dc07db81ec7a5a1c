"""`Proxy.spec.telemetry`: what OpenTelemetry is told."""

from __future__ import annotations

import enum

from meshproxy.base.durations import Duration
from meshproxy.resources.meta import Shape, default_duration


class TracePropagation(enum.StrEnum):
    """W3C Trace Context, or one of Zipkin's forms."""

    W3C = "W3C"
    B3 = "B3"
    B3_MULTI = "B3Multi"


class MetricsTemporality(enum.StrEnum):
    CUMULATIVE = "Cumulative"
    DELTA = "Delta"


class OTLPEndpoint(Shape, frozen=True, kw_only=True):
    """A collector, by OTLP over HTTP: ``http://127.0.0.1:4318``. `ca_file` has the roots for ``https``.

    Keys belong into the environment: ``OTEL_EXPORTER_OTLP_HEADERS``.
    """

    endpoint: str
    headers: dict[str, str] = {}
    timeout: Duration = default_duration("10s")
    ca_file: str | None = None


class TelemetryTracing(Shape, frozen=True, kw_only=True):
    """`sample_percent` of the requests whose caller has not decided are recorded, and, with `always_errors`, all that
    fail. `propagation` is how callers say where a request belongs, and how endpoints are told; the first that says
    anything counts. With `connections` TCP connections are recorded, too.
    """

    sample_percent: float = 1.0
    propagation: tuple[TracePropagation, ...] = (TracePropagation.W3C,)
    always_errors: bool = True
    connections: bool = False


class TelemetryMetrics(Shape, frozen=True, kw_only=True):
    interval: Duration = default_duration("15s")
    temporality: MetricsTemporality = MetricsTemporality.CUMULATIVE


class TelemetryLogs(Shape, frozen=True, kw_only=True):
    """`access_log` sends what `spec.accessLog` writes."""

    access_log: bool = True


class Telemetry(Shape, frozen=True, kw_only=True):
    """Signals that are given are sent to `otlp`. `service_name` is the Proxy's name by default."""

    otlp: OTLPEndpoint | None = None
    service_name: str | None = None
    resource_attributes: dict[str, str] = {}
    tracing: TelemetryTracing | None = None
    metrics: TelemetryMetrics | None = None
    logs: TelemetryLogs | None = None
