"""From a trace record to spans, named and described as OpenTelemetry's HTTP conventions have it (stable since 1.23)."""

from __future__ import annotations

import os
from collections.abc import Iterator

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from meshproxy.base.response_flags import FLAGS
from meshproxy.protocols.http1.request import RequestHead, parse_request
from meshproxy.snapshot.messages import TraceRecord, TriedEndpoint
from meshproxy.telemetry.otlp.urls import full_url, host_and_port, redacted
from meshproxy.telemetry.otlp.values import Plain, attributes, identifier, nanoseconds, scope
from meshproxy.telemetry.semantics import KNOWN_METHODS, OTHER_METHOD

MAX_TEXT = 2048
"""Bytes of what a client said that an attribute has."""
_SAMPLED, _ROOT, _REMOTE_PARENT = 0x001, 0x100, 0x300
"""Trace flags, and what is known of the parent (opentelemetry-proto, `SpanFlags`): it is of this process, or not."""


def request_of(records: list[TraceRecord], resource: Resource) -> ExportTraceServiceRequest:
    """What is sent to ``/v1/traces``."""
    spans = [span for record in records for span in spans_of(record)]
    return ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=resource, scope_spans=[ScopeSpans(scope=scope(), spans=spans)])]
    )


def spans_of(record: TraceRecord) -> Iterator[Span]:
    """The server span, then a client span for each try."""
    head, sent = _parsed(record.head), _parsed(record.sent_head)
    trace_id, span_id, name = identifier(record.trace_id), os.urandom(8), _name(record, head)
    state = _field(head, b"tracestate") if record.parent_id else ""
    started = record.wall + record.started
    error = _server_error(record)
    yield Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=identifier(record.parent_id),
        trace_state=state,
        flags=_SAMPLED | (_REMOTE_PARENT if record.parent_id else _ROOT),
        name=name,
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=nanoseconds(started),
        end_time_unix_nano=nanoseconds(started + record.seconds),
        attributes=attributes(_server_attributes(record, head, error)),
        status=_status(error, record.detail or FLAGS.get(record.flags.partition(",")[0], "")),
    )
    for number, tried in enumerate(record.tries):
        error = _client_error(record, tried)
        yield Span(
            trace_id=trace_id,
            span_id=identifier(tried.span_id),
            parent_span_id=span_id,
            trace_state=state,
            flags=_SAMPLED | _ROOT,
            name=name,
            kind=Span.SPAN_KIND_CLIENT,
            start_time_unix_nano=nanoseconds(record.wall + tried.started),
            end_time_unix_nano=nanoseconds(record.wall + tried.ended),
            attributes=attributes(_client_attributes(record, tried, sent or head, number, error)),
            status=_status(error, FLAGS.get(tried.flag, "")),
        )


def _parsed(head: bytes) -> RequestHead | None:
    """A request's head, which was valid when it came; None for an empty one."""
    return parse_request(head) if head else None


def _field(head: RequestHead | None, name: bytes) -> str:
    return _text((head.header(name) if head is not None else None) or b"")


def _text(value: bytes) -> str:
    return value[:MAX_TEXT].decode("utf-8", "replace")


def _name(record: TraceRecord, head: RequestHead | None) -> str:
    """``GET shop/cart/checkout``: the method and the rule, never a path (whose number has no bound)."""
    if head is None:
        return record.listener
    method = head.method.decode("ascii") if head.method in KNOWN_METHODS else "HTTP"
    return f"{method} {record.rule}" if record.rule else method


# -- what went wrong ---------------------------------------------------------------------


def _server_error(record: TraceRecord) -> str | None:
    """``error.type``: what the server did wrong. A 4xx is nothing of that, a response that was cut is."""
    if record.status >= 500 or (record.flags and record.status < 400):
        return record.flags or str(record.status)
    return None


def _client_error(record: TraceRecord, tried: TriedEndpoint) -> str | None:
    """For whom the endpoint answers a 4xx is an error, too. A connection has no status, and was opened."""
    if tried.status >= 400:
        return str(tried.status)
    return None if tried.status or not record.head else tried.flag or record.flags or "_OTHER"


def _status(error: str | None, message: str) -> Status:
    """Without words where the status code says it all."""
    if error is None:
        return Status()
    return Status(code=Status.STATUS_CODE_ERROR, message="" if error.isdigit() else message)


# -- attributes --------------------------------------------------------------------------


def _server_attributes(record: TraceRecord, head: RequestHead | None, error: str | None) -> dict[str, Plain | None]:
    return {
        **(_request_attributes(record, head) if head is not None else _connection_attributes(record)),
        "network.peer.address": record.peer,
        "network.peer.port": record.peer_port or None,
        "client.address": record.client,
        "error.type": error,
        "meshproxy.listener": record.listener,
        "meshproxy.cluster": record.cluster or None,
        "meshproxy.response_flags": record.flags or None,
    }


def _request_attributes(record: TraceRecord, head: RequestHead) -> dict[str, Plain | None]:
    host, port = host_and_port(_text(head.authority), record.scheme)
    return {
        **_method(head),
        "url.scheme": record.scheme,
        "url.path": _text(head.path),
        "url.query": _text(redacted(head.query_part)) if head.query_part is not None else None,
        "http.route": record.rule or None,
        "http.response.status_code": record.status or None,
        "http.request.body.size": record.received,
        "http.response.body.size": record.sent,
        "network.protocol.version": f"1.{head.minor}",
        "server.address": host or None,
        "server.port": port if host else None,
        "user_agent.original": _field(head, b"user-agent") or None,
        "meshproxy.request_id": _text(record.request_id) or None,
    }


def _connection_attributes(record: TraceRecord) -> dict[str, Plain | None]:
    return {
        "network.transport": "tcp",
        "meshproxy.received_bytes": record.received,
        "meshproxy.sent_bytes": record.sent,
    }


def _method(head: RequestHead) -> dict[str, Plain | None]:
    """A method that nobody knows is ``_OTHER``, so that their number has a bound."""
    method = head.method.decode("ascii")
    if head.method in KNOWN_METHODS:
        return {"http.request.method": method}
    return {"http.request.method": OTHER_METHOD, "http.request.method_original": method}


def _client_attributes(
    record: TraceRecord, tried: TriedEndpoint, head: RequestHead | None, number: int, error: str | None
) -> dict[str, Plain | None]:
    """`head` is what the endpoint was sent: whom it is for is the URL's host, who was asked is the peer."""
    address, _, port = tried.endpoint.rpartition(":")
    address = address.strip("[]")
    found: dict[str, Plain | None] = {"network.transport": "tcp", "server.address": address, "server.port": int(port)}
    if head is not None:
        found = _asked_attributes(record, tried, head, number)
    return {
        **found,
        "network.peer.address": address,
        "network.peer.port": tried.port or int(port),
        "error.type": error,
        "meshproxy.cluster": record.cluster or None,
    }


def _asked_attributes(
    record: TraceRecord, tried: TriedEndpoint, head: RequestHead, number: int
) -> dict[str, Plain | None]:
    scheme, authority = record.upstream_scheme, head.authority or tried.endpoint.encode()
    host, port = host_and_port(_text(authority), scheme)
    return {
        **_method(head),
        "url.full": _text(full_url(scheme, authority, head.path, head.query_part)),
        "server.address": host,
        "server.port": port,
        "http.response.status_code": tried.status or None,
        "http.request.resend_count": number or None,
        "network.protocol.version": "1.1",
    }
