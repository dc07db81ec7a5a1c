"""Where traces, metrics and logs are sent, and as what. For the supervisor; workers have `tracing.Tracing`."""

from __future__ import annotations

import enum

from meshproxy.snapshot.value import Value


class Temporality(enum.StrEnum):
    """Whether counters are sent as they are, or as what they grew by."""

    CUMULATIVE = "Cumulative"
    DELTA = "Delta"


class OTLPSettings(Value, frozen=True, kw_only=True):
    """OTLP over HTTP with protobuf (opentelemetry-proto 1.x). `endpoint` is the URL that ``/v1/traces`` is added to.

    `ca_file` holds the roots that an ``https`` endpoint is verified by; without it the system's are.
    `attributes` are the resource's. Seconds; a `metrics_interval` of None sends no metrics.
    """

    endpoint: str
    headers: dict[str, str] = {}
    timeout: float = 10.0
    ca_file: str = ""
    attributes: dict[str, str] = {}
    traces: bool = False
    metrics_interval: float | None = None
    temporality: Temporality = Temporality.CUMULATIVE
    access_log: bool = False
