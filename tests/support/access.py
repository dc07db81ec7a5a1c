"""Finished requests, as a worker reports them."""

from __future__ import annotations

from typing import Any, overload

from meshproxy.snapshot.messages import (
    AccessRecord,
    AccessRecords,
    EncodedAccessRecords,
    EncodedTraceRecords,
    TraceRecords,
    decode_to_supervisor,
    encode,
)

STARTED = 1769860800.25
"""2026-01-31T12:00:00.250Z"""


@overload
def decoded(message: EncodedAccessRecords) -> AccessRecords: ...
@overload
def decoded(message: EncodedTraceRecords) -> TraceRecords: ...
def decoded(message: EncodedAccessRecords | EncodedTraceRecords) -> AccessRecords | TraceRecords:
    """What a worker sends, as the supervisor has it."""
    received = decode_to_supervisor(encode(message))
    assert isinstance(received, AccessRecords | TraceRecords)
    return received


def make_record(**fields: Any) -> AccessRecord:
    defaults: dict[str, Any] = {
        "started": STARTED,
        "seconds": 0.0125,
        "listener": "l",
        "rule": "default/shop/cart",
        "cluster": "default/cart:http",
        "endpoint": "10.0.0.1:8080",
        "client": "203.0.113.9",
        "peer": "192.0.2.1",
        "method": "GET",
        "host": "shop.example.com",
        "target": "/cart?x=1",
        "version": "HTTP/1.1",
        "status": 200,
        "flags": "",
        "detail": "",
        "received": 3,
        "sent": 14,
        "attempts": 2,
        "upstream_seconds": 0.0071,
        "request_id": "id-1",
        "fields": {"user-agent": "curl/8"},
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    }
    return AccessRecord(**defaults | fields)
