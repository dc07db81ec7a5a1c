"""From a trace record to spans, named and described as OpenTelemetry's HTTP conventions have it (1.2x, stable)."""

from __future__ import annotations

from collections.abc import Iterator

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from meshproxy.base.response_flags import FLAGS
from meshproxy.snapshot.messages import AccessRecord, TraceRecord, TriedEndpoint
from meshproxy.telemetry.otlp.values import Plain, attributes, identifier, nanoseconds, scope

_KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT"})


def request_of(records: list[TraceRecord], resource: Resource) -> ExportTraceServiceRequest:
    """What is sent to ``/v1/traces``."""
    spans = [span for record in records for span in spans_of(record)]
    return ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=resource, scope_spans=[ScopeSpans(scope=scope(), spans=spans)])]
    )


def spans_of(record: TraceRecord) -> Iterator[Span]:
    """The server span, then a client span for each try."""
    request = record.request
    yield Span(
        trace_id=identifier(request.trace_id),
        span_id=identifier(request.span_id),
        parent_span_id=identifier(record.parent_id),
        trace_state=record.state,
        name=_name(request),
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=nanoseconds(request.started),
        end_time_unix_nano=nanoseconds(request.started + request.seconds),
        attributes=attributes(_server_attributes(request)),
        status=_server_status(request),
    )
    for number, tried in enumerate(record.tries):
        yield _client_span(record, tried, number)


def _name(request: AccessRecord) -> str:
    """``GET shop/cart/checkout``: the method and the rule, never a path (whose number has no bound)."""
    if not request.method:
        return request.listener
    method = request.method if request.method in _KNOWN_METHODS else "HTTP"
    return f"{method} {request.rule}" if request.rule else method


def _server_attributes(request: AccessRecord) -> dict[str, Plain | None]:
    host, _, port = request.host.rpartition(":") if _has_port(request.host) else (request.host, "", "")
    path, mark, query = request.target.partition("?")
    return {
        **_method(request),
        "url.scheme": "http" if request.method else None,
        "url.path": path or None,
        "url.query": query if mark else None,
        "http.route": request.rule or None,
        "http.response.status_code": request.status or None,
        "network.protocol.version": request.version.removeprefix("HTTP/") if request.method else None,
        "network.peer.address": request.peer,
        "client.address": request.client,
        "server.address": host or None,
        "server.port": int(port) if port else None,
        "user_agent.original": request.fields.get("user-agent"),
        "http.request.body.size": request.received,
        "http.response.body.size": request.sent,
        "error.type": _error_type(request.status, request.flags),
        "meshproxy.listener": request.listener,
        "meshproxy.cluster": request.cluster or None,
        "meshproxy.response_flags": request.flags or None,
        "meshproxy.request_id": request.request_id or None,
    }


def _method(request: AccessRecord) -> dict[str, Plain | None]:
    """A method that nobody knows is ``_OTHER``, so that their number has a bound."""
    if not request.method:
        return {}
    if request.method in _KNOWN_METHODS:
        return {"http.request.method": request.method}
    return {"http.request.method": "_OTHER", "http.request.method_original": request.method}


def _has_port(host: str) -> bool:
    return ":" in host and not host.endswith("]") and host.rpartition(":")[2].isdigit()


def _server_status(request: AccessRecord) -> Status:
    """An error is what the server did wrong: a 4xx is none, a response that was cut is."""
    if request.status >= 500 or (request.flags and request.status < 400):
        said = FLAGS.get(request.flags.partition(",")[0], "")
        return Status(code=Status.STATUS_CODE_ERROR, message=request.detail or said)
    return Status()


def _error_type(status: int, flags: str) -> str | None:
    if flags:
        return flags
    return str(status) if status >= 500 else None


def _client_span(record: TraceRecord, tried: TriedEndpoint, number: int) -> Span:
    request = record.request
    address, _, port = tried.endpoint.rpartition(":")
    failed = tried.status >= 400 or (not tried.status and bool(request.method))
    return Span(
        trace_id=identifier(request.trace_id),
        span_id=identifier(tried.span_id),
        parent_span_id=identifier(request.span_id),
        name=_name(request),
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=nanoseconds(tried.started),
        end_time_unix_nano=nanoseconds(tried.started + tried.seconds),
        attributes=attributes(
            {
                **_method(request),
                "server.address": address.strip("[]"),
                "server.port": int(port),
                "network.peer.address": address.strip("[]"),
                "network.peer.port": int(port),
                "http.response.status_code": tried.status or None,
                "http.request.resend_count": number or None,
                "error.type": (str(tried.status) if tried.status else request.flags or "_OTHER") if failed else None,
                "meshproxy.cluster": request.cluster or None,
            }
        ),
        status=Status(code=Status.STATUS_CODE_ERROR, message=tried.detail) if failed else Status(),
    )
