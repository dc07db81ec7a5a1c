"""Rules for `Proxy.spec.telemetry`."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from meshproxy.base.errors import Finding, Severity
from meshproxy.loader.rules import http_values, values
from meshproxy.loader.rules.values import Problem, finding, quote
from meshproxy.resources.proxy import ProxySpec
from meshproxy.resources.telemetry import OTLPEndpoint, Telemetry

FIELD = "spec.telemetry"
_GRPC_PORT = 4317


def check(spec: ProxySpec) -> Iterator[Finding]:
    telemetry = spec.telemetry
    if telemetry is None:
        return
    if telemetry.otlp is not None:
        yield from _check_otlp(telemetry.otlp, f"{FIELD}.otlp")
    yield from _check_goal(telemetry)
    if telemetry.tracing is not None:
        yield from finding(f"{FIELD}.tracing.samplePercent", values.percentage(telemetry.tracing.sample_percent))
        if not telemetry.tracing.propagation:
            message = "must name one way at least: W3C, B3 or B3Multi"
            yield Finding(field=f"{FIELD}.tracing.propagation", message=message)
    if telemetry.metrics is not None:
        yield from finding(f"{FIELD}.metrics.interval", values.positive_duration(telemetry.metrics.interval))
    if telemetry.logs is not None and telemetry.logs.access_log and spec.access_log is None:
        message = "sends what spec.accessLog writes, which is missing (its path may be /dev/null)"
        yield Finding(field=f"{FIELD}.logs.accessLog", message=message)


def _check_otlp(otlp: OTLPEndpoint, field: str) -> Iterator[Finding]:
    yield from finding(f"{field}.endpoint", _endpoint(otlp.endpoint))
    if f":{_GRPC_PORT}" in otlp.endpoint:
        message = f"{_GRPC_PORT} is OTLP over gRPC as a rule; OTLP over HTTP, which is sent here, has 4318"
        yield Finding(severity=Severity.WARNING, field=f"{field}.endpoint", message=message)
    for name, value in otlp.headers.items():
        yield from finding(f"{field}.headers.{name}", http_values.token(name) or http_values.header_value(value))
    yield from finding(f"{field}.timeout", values.positive_duration(otlp.timeout))


def _check_goal(telemetry: Telemetry) -> Iterator[Finding]:
    signals = {"tracing": telemetry.tracing, "metrics": telemetry.metrics, "logs": telemetry.logs}
    given = [name for name, signal in signals.items() if signal is not None]
    if telemetry.otlp is None:
        for name in given:
            message = "has nowhere to go without telemetry.otlp"
            yield Finding(severity=Severity.WARNING, field=f"{FIELD}.{name}", message=message)
    elif not given:
        message = "nothing is sent without one of tracing, metrics and logs"
        yield Finding(severity=Severity.WARNING, field=f"{FIELD}.otlp", message=message)


def _endpoint(value: str) -> Problem:
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError as error:
        return f"{quote(value)} is no URL: {error}"
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        return f"{quote(value)} is no URL of a collector; write it as http://127.0.0.1:4318"
    if parts.query or parts.fragment:
        return f"{quote(value)} must not have a query or a fragment; /v1/traces and so on are added to it"
    return None
