"""Where a request belongs in a trace: W3C Trace Context (level 1) and Zipkin's B3, read and written.

What is malformed is passed over, as both specifications have it: the request then begins a trace of its own.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Protocol

from meshproxy.snapshot.tracing import Propagation

_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_B3 = re.compile(rb"([0-9a-f]{16}|[0-9a-f]{32})-([0-9a-f]{16})(?:-([01d])(?:-[0-9a-f]{16})?)?")
_TRACE_ID = re.compile(rb"[0-9a-f]{16}|[0-9a-f]{32}")
_SPAN_ID = re.compile(rb"[0-9a-f]{16}")
NO_TRACE = b"0" * 32
NO_SPAN = b"0" * 16


FIELDS = {
    Propagation.W3C: (b"traceparent",),
    Propagation.B3: (b"b3",),
    Propagation.B3_MULTI: (b"x-b3-traceid", b"x-b3-spanid", b"x-b3-parentspanid", b"x-b3-sampled", b"x-b3-flags"),
}
"""The fields that each of them replaces; ``tracestate`` and ``baggage`` pass as they are."""


class TraceParent(NamedTuple):
    """The caller's span: ids in lower-case hexadecimal, 32 and 16 digits. `sampled` is None where it leaves that open.

    No `span_id` where the caller has decided about sampling and nothing else (B3's ``0`` and ``1``).
    """

    trace_id: bytes
    span_id: bytes
    sampled: bool | None


class Fields(Protocol):
    def header(self, name: bytes) -> bytes | None: ...


def extract(fields: Fields, ways: tuple[Propagation, ...]) -> TraceParent | None:
    """What `fields` say, in the first of `ways` in which they say anything valid."""
    for way in ways:
        if way is Propagation.W3C:
            value = fields.header(b"traceparent")
            found = parse_traceparent(value) if value is not None else None
        elif way is Propagation.B3:
            value = fields.header(b"b3")
            found = parse_b3(value) if value is not None else None
        else:
            found = _parse_b3_fields(fields)
        if found is not None:
            return found
    return None


def parse_traceparent(value: bytes) -> TraceParent | None:
    """Trace Context §3.2; None for what a receiver must not use. A version to come may have more at the end."""
    match = _TRACEPARENT.fullmatch(value)
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if version == b"ff" or (version == b"00" and rest) or trace_id == NO_TRACE or span_id == NO_SPAN:
        return None
    return TraceParent(trace_id, span_id, bool(int(flags, 16) & 1))


def parse_b3(value: bytes) -> TraceParent | None:
    """B3's single header: ``trace-span-sampled-parent``, or a decision alone."""
    if value in (b"0", b"1", b"d"):
        return TraceParent(b"", b"", value != b"0")
    match = _B3.fullmatch(value)
    if match is None:
        return None
    trace_id, span_id, sampled = match.groups()
    return _b3_parent(trace_id, span_id, None if sampled is None else sampled != b"0")


def _parse_b3_fields(fields: Fields) -> TraceParent | None:
    trace_id, span_id = fields.header(b"x-b3-traceid") or b"", fields.header(b"x-b3-spanid") or b""
    sampled = {b"1": True, b"true": True, b"0": False, b"false": False}.get(fields.header(b"x-b3-sampled") or b"")
    if fields.header(b"x-b3-flags") == b"1":
        sampled = True
    if _TRACE_ID.fullmatch(trace_id) and _SPAN_ID.fullmatch(span_id):
        return _b3_parent(trace_id, span_id, sampled)
    return TraceParent(b"", b"", sampled) if sampled is not None and not trace_id else None


def _b3_parent(trace_id: bytes, span_id: bytes, sampled: bool | None) -> TraceParent | None:
    trace_id = trace_id.rjust(32, b"0")  # B3 knows ids of 64 bits, too
    return None if trace_id == NO_TRACE or span_id == NO_SPAN else TraceParent(trace_id, span_id, sampled)


def field_lines(ways: tuple[Propagation, ...], trace_id: bytes, span_id: bytes, sampled: bool) -> bytes:
    """What the next one is told, each field line with its line end; `span_id` is our span, its parent."""
    lines = b""
    for way in ways:
        if way is Propagation.W3C:
            lines += b"traceparent: 00-%b-%b-%b\r\n" % (trace_id, span_id, b"01" if sampled else b"00")
        elif way is Propagation.B3:
            lines += b"b3: %b-%b-%b\r\n" % (trace_id, span_id, b"1" if sampled else b"0")
        else:
            decision = b"1" if sampled else b"0"
            lines += b"X-B3-TraceId: %b\r\nX-B3-SpanId: %b\r\nX-B3-Sampled: %b\r\n" % (trace_id, span_id, decision)
    return lines
