"""From a trace record to spans, named and described as OpenTelemetry's HTTP conventions have it (1.2x, stable)."""

from __future__ import annotations

import os
from collections.abc import Iterator

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from meshproxy.base.response_flags import FLAGS
from meshproxy.protocols.http1.request import RequestHead, parse_request
from meshproxy.snapshot.messages import TraceRecord, TriedEndpoint
from meshproxy.telemetry.otlp.values import Plain, attributes, identifier, nanoseconds, scope

_KNOWN_METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"PATCH", b"CONNECT"})
MAX_TEXT = 2048
"""Bytes of what a client said that an attribute has."""


def request_of(records: list[TraceRecord], resource: Resource) -> ExportTraceServiceRequest:
    """What is sent to ``/v1/traces``."""
    spans = [span for record in records for span in spans_of(record)]
    return ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=resource, scope_spans=[ScopeSpans(scope=scope(), spans=spans)])]
    )


def spans_of(record: TraceRecord) -> Iterator[Span]:
    """The server span, then a client span for each try."""
    head = _head_of(record)
    trace_id, span_id, name = identifier(record.trace_id), os.urandom(8), _name(record, head)
    started = record.wall + record.started
    yield Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=identifier(record.parent_id),
        trace_state=_field(head, b"tracestate"),
        name=name,
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=nanoseconds(started),
        end_time_unix_nano=nanoseconds(started + record.seconds),
        attributes=attributes(_server_attributes(record, head)),
        status=_server_status(record),
    )
    for number, tried in enumerate(record.tries):
        failed = tried.status >= 400 or (not tried.status and head is not None)
        error = str(tried.status) if tried.status else record.flags or "_OTHER"
        yield Span(
            trace_id=trace_id,
            span_id=identifier(tried.span_id),
            parent_span_id=span_id,
            name=name,
            kind=Span.SPAN_KIND_CLIENT,
            start_time_unix_nano=nanoseconds(record.wall + tried.started),
            end_time_unix_nano=nanoseconds(record.wall + tried.ended),
            attributes=attributes(_client_attributes(record, tried, head, number, error if failed else None)),
            status=Status(code=Status.STATUS_CODE_ERROR) if failed else Status(),
        )


def _head_of(record: TraceRecord) -> RequestHead | None:
    """The request's head, which was valid when it came; None for a connection."""
    return parse_request(record.head) if record.head else None


def _field(head: RequestHead | None, name: bytes) -> str:
    return _text((head.header(name) if head is not None else None) or b"")


def _text(value: bytes) -> str:
    return value[:MAX_TEXT].decode("utf-8", "replace")


def _name(record: TraceRecord, head: RequestHead | None) -> str:
    """``GET shop/cart/checkout``: the method and the rule, never a path (whose number has no bound)."""
    if head is None:
        return record.listener
    method = head.method.decode("ascii") if head.method in _KNOWN_METHODS else "HTTP"
    return f"{method} {record.rule}" if record.rule else method


def _server_attributes(record: TraceRecord, head: RequestHead | None) -> dict[str, Plain | None]:
    return {
        **(_request_attributes(head, record.scheme) if head is not None else {}),
        "http.route": record.rule or None,
        "http.response.status_code": record.status or None,
        "network.peer.address": record.peer,
        "client.address": record.client,
        "http.request.body.size": record.received,
        "http.response.body.size": record.sent,
        "error.type": record.flags or (str(record.status) if record.status >= 500 else None),
        "meshproxy.listener": record.listener,
        "meshproxy.cluster": record.cluster or None,
        "meshproxy.response_flags": record.flags or None,
        "meshproxy.request_id": _text(record.request_id) or None,
    }


def _request_attributes(head: RequestHead, scheme: str) -> dict[str, Plain | None]:
    authority = _text(head.authority)
    host, _, port = authority.rpartition(":") if _has_port(authority) else (authority, "", "")
    return {
        **_method(head),
        "url.scheme": scheme,
        "url.path": _text(head.path),
        "url.query": _text(head.query_part) if head.query_part is not None else None,
        "network.protocol.version": f"1.{head.minor}",
        "server.address": host or None,
        "server.port": int(port) if port else None,
        "user_agent.original": _field(head, b"user-agent") or None,
    }


def _method(head: RequestHead) -> dict[str, Plain | None]:
    """A method that nobody knows is ``_OTHER``, so that their number has a bound."""
    method = head.method.decode("ascii")
    if head.method in _KNOWN_METHODS:
        return {"http.request.method": method}
    return {"http.request.method": "_OTHER", "http.request.method_original": method}


def _has_port(host: str) -> bool:
    return ":" in host and not host.endswith("]") and host.rpartition(":")[2].isdigit()


def _server_status(record: TraceRecord) -> Status:
    """An error is what the server did wrong: a 4xx is none, a response that was cut is."""
    if record.status >= 500 or (record.flags and record.status < 400):
        said = FLAGS.get(record.flags.partition(",")[0], "")
        return Status(code=Status.STATUS_CODE_ERROR, message=record.detail or said)
    return Status()


def _client_attributes(
    record: TraceRecord, tried: TriedEndpoint, head: RequestHead | None, number: int, error: str | None
) -> dict[str, Plain | None]:
    address, _, port = tried.endpoint.rpartition(":")
    return {
        **(_method(head) if head is not None else {}),
        "server.address": address.strip("[]"),
        "server.port": int(port),
        "network.peer.address": address.strip("[]"),
        "network.peer.port": int(port),
        "http.response.status_code": tried.status or None,
        "http.request.resend_count": number or None,
        "error.type": error,
        "meshproxy.cluster": record.cluster or None,
    }
