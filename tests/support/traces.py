"""Trace records as workers make them."""

from __future__ import annotations

from typing import Any

from meshproxy.snapshot.messages import AccessRecord, TraceRecord, TriedEndpoint

TRACE, PARENT, TRIED = "4bf92f3577b34da6a3ce929d0e0e4736", "1" * 16, "2" * 16


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
    }
    return AccessRecord(**defaults | fields)


def make_trace(**fields: Any) -> TraceRecord:
    """Of a request with one try."""
    defaults: dict[str, Any] = {
        "trace_id": TRACE.encode(),
        "parent_id": PARENT.encode(),
        "wall": 900.0,
        "started": 100.5,
        "seconds": 0.25,
        "head": b"GET /a/b?c=d HTTP/1.1\r\nHost: web:8080\r\nUser-Agent: curl\r\ntracestate: k=v\r\n\r\n",
        "status": 200,
        "flags": "",
        "detail": "",
        "listener": "default/web:http@127.96.0.10:80/TCP",
        "rule": "default/web/0",
        "cluster": "default/web:http",
        "client": "192.0.2.1",
        "peer": "192.0.2.2",
        "received": 1,
        "sent": 2,
        "request_id": b"id",
        "tries": (TriedEndpoint(TRIED.encode(), "10.0.0.1:8080", 100.6, 100.7, fields.get("status", 200), 15443),),
        "peer_port": 40000,
    }
    return TraceRecord(**defaults | fields)
