"""Trace records as workers make them."""

from __future__ import annotations

from typing import Any

from meshproxy.snapshot.messages import AccessRecord, TraceRecord, TriedEndpoint

TRACE, SPAN, PARENT, TRIED = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "1" * 16, "2" * 16


def make_request(**fields: Any) -> AccessRecord:
    defaults: dict[str, Any] = {
        "started": 1000.5,
        "seconds": 0.25,
        "listener": "default/web:http@127.96.0.10:80/TCP",
        "rule": "default/web/0",
        "cluster": "default/web:http",
        "endpoint": "10.0.0.1:8080",
        "client": "192.0.2.1",
        "peer": "192.0.2.2",
        "method": "GET",
        "host": "web:8080",
        "target": "/a/b?c=d",
        "version": "HTTP/1.1",
        "status": 200,
        "flags": "",
        "detail": "",
        "received": 1,
        "sent": 2,
        "attempts": 1,
        "upstream_seconds": 0.1,
        "request_id": "id",
        "fields": {"user-agent": "curl"},
        "trace_id": TRACE,
        "span_id": SPAN,
    }
    return AccessRecord(**defaults | fields)


def make_trace(**fields: Any) -> TraceRecord:
    """With one try; `fields` are the request's."""
    tried = TriedEndpoint(TRIED, "10.0.0.1:8080", 1000.6, 0.1, fields.get("status", 200))
    return TraceRecord(parent_id=PARENT, state="k=v", request=make_request(**fields), tries=(tried,))
