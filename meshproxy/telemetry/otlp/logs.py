"""Access records as OpenTelemetry log records."""

from __future__ import annotations

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import (
    SEVERITY_NUMBER_ERROR,
    SEVERITY_NUMBER_INFO,
    SEVERITY_NUMBER_WARN,
    LogRecord,
    ResourceLogs,
    ScopeLogs,
    SeverityNumber,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from meshproxy.snapshot.messages import AccessRecord
from meshproxy.telemetry.otlp.urls import full_url
from meshproxy.telemetry.otlp.values import any_value, attributes, identifier, joined, nanoseconds, scope

EVENT = "meshproxy.access"
_SAMPLED = 1


def request_of(records: list[AccessRecord], resource: Resource) -> ExportLogsServiceRequest:
    """What is sent to ``/v1/logs``."""
    logs = ScopeLogs(scope=scope(), log_records=map(log_record_of, records))
    return ExportLogsServiceRequest(resource_logs=[ResourceLogs(resource=resource, scope_logs=[logs])])


def log_record_of(record: AccessRecord) -> LogRecord:
    """One request; with the id of its trace where that is known, recorded or not."""
    severity, text = _severity(record)
    line = joined((record.method, record.target, str(record.status), record.flags, record.detail))
    ended = nanoseconds(record.started + record.seconds)
    return LogRecord(
        time_unix_nano=ended,
        observed_time_unix_nano=ended,
        severity_number=severity,
        severity_text=text,
        event_name=EVENT,
        body=any_value(line),
        trace_id=identifier(record.trace_id.encode()),
        flags=_SAMPLED if record.sampled else 0,
        attributes=attributes(
            {
                "http.request.method": record.method or None,
                "url.full": _url(record),
                "http.response.status_code": record.status or None,
                "http.route": record.rule or None,
                "client.address": record.client,
                "duration": record.seconds,
                "meshproxy.listener": record.listener,
                "meshproxy.cluster": record.cluster or None,
                "meshproxy.endpoint": record.endpoint or None,
                "meshproxy.response_flags": record.flags or None,
                "meshproxy.attempts": record.attempts,
                "meshproxy.request_id": record.request_id or None,
            }
        ),
    )


def _url(record: AccessRecord) -> str | None:
    target = record.target.encode()
    if not record.host or not target.startswith(b"/"):
        return record.target or None
    path, mark, query = target.partition(b"?")
    return full_url(record.scheme, record.host.encode(), path, query if mark else None).decode()


def _severity(record: AccessRecord) -> tuple[SeverityNumber.ValueType, str]:
    if record.status >= 500 or not record.status:
        return SEVERITY_NUMBER_ERROR, "ERROR"
    return (SEVERITY_NUMBER_WARN, "WARN") if record.status >= 400 else (SEVERITY_NUMBER_INFO, "INFO")
