"""What is recorded of requests, and what their upstreams are told."""

from __future__ import annotations

import re
from random import Random

import pytest

from meshproxy.dataplane.http.tracing import Tracer
from meshproxy.snapshot.messages import TraceRecord
from meshproxy.snapshot.routes import RetryCondition, RetryPolicy
from meshproxy.snapshot.tracing import Propagation, Tracing
from tests.support.access import decoded
from tests.support.http import HTTPPlane, Received, rule
from tests.unit.dataplane.http.conftest import MakeOrigin

TRACE, SPAN = b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7"
SAMPLED = b"traceparent: 00-%b-%b-01" % (TRACE, SPAN)
UNSAMPLED = b"traceparent: 00-%b-%b-00" % (TRACE, SPAN)
TRACEPARENT = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])")


def trace(plane: HTTPPlane, sampling: float, *ways: Propagation, always_errors: bool = False) -> None:
    config = Tracing(sampling=sampling, propagation=ways or (Propagation.W3C,), always_errors=always_errors)
    plane.plane.http.tracer = Tracer(config, Random(1))


def taken(plane: HTTPPlane) -> list[TraceRecord]:
    return [record for message in plane.plane.take_traces() for record in decoded(message).records]


def told(request: Received) -> tuple[bytes, bytes, bool]:
    value = request.field(b"traceparent")
    match = TRACEPARENT.fullmatch(value or b"")
    assert match, request.head
    return match[1], match[2], match[3] == b"01"


async def test_a_trace_begins(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    plane.route(rule(), origins=(origin,))
    trace(plane, 1)
    client = await plane.connect()
    await client.get(b"/a?b", b"User-Agent: x")
    await client.get(b"/c")
    first, second = taken(plane)
    assert first.trace_id != second.trace_id
    assert (first.parent_id, first.head) == (b"", b"GET /a?b HTTP/1.1\r\nHost: s\r\nUser-Agent: x\r\n\r\n")
    (tried,) = first.tries
    assert (tried.endpoint, tried.status) == (origin.endpoint.id, 200)
    assert told(origin.requests[0]) == (first.trace_id, tried.span_id, True)
    assert tried.span_id != second.tries[0].span_id
    assert first.scheme == "http"
    assert first.started <= tried.started <= tried.ended <= first.started + first.seconds


async def test_a_callers_trace_goes_on(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    """Whatever the sampling says; state and baggage pass."""
    origin = await make_origin()
    plane.route(rule(), origins=(origin,))
    trace(plane, 0)
    client = await plane.connect()
    await client.get(b"/", SAMPLED, b"tracestate: a=b", b"baggage: k=v")
    (record,) = taken(plane)
    assert (record.trace_id, record.parent_id) == (TRACE, SPAN)
    assert told(origin.requests[0]) == (TRACE, record.tries[0].span_id, True)
    assert origin.requests[0].field(b"tracestate") == b"a=b"
    assert origin.requests[0].field(b"baggage") == b"k=v"


async def test_what_a_caller_does_not_sample_passes_as_it_is(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    plane.route(rule(), origins=(origin,))
    trace(plane, 1)
    client = await plane.connect()
    await client.get(b"/", UNSAMPLED)
    assert taken(plane) == []
    assert told(origin.requests[0]) == (TRACE, SPAN, False)


async def test_what_is_not_sampled_here_is_not_sampled_further_on(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    plane.route(rule(), origins=(origin,))
    trace(plane, 0)
    client = await plane.connect()
    await client.get()
    assert taken(plane) == []
    assert told(origin.requests[0])[2] is False


@pytest.mark.parametrize(
    "value", [b"nonsense", b"00-%b-%b-01" % (b"0" * 32, SPAN), b"", b"ff-%b-%b-01" % (TRACE, SPAN)]
)
async def test_a_malformed_field_begins_a_trace(plane: HTTPPlane, make_origin: MakeOrigin, value: bytes) -> None:
    origin = await make_origin()
    plane.route(rule(), origins=(origin,))
    trace(plane, 1)
    client = await plane.connect()
    await client.get(b"/", b"traceparent: " + value)
    (record,) = taken(plane)
    assert record.parent_id == b""
    assert told(origin.requests[0]) == (record.trace_id, record.tries[0].span_id, True)


async def test_errors_are_recorded_all_the_same(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
    plane.route(rule(), origins=(origin,))
    trace(plane, 0, always_errors=True)
    client = await plane.connect()
    await client.get(b"/", UNSAMPLED)
    await client.get()
    first, second = taken(plane)
    assert (first.status, first.trace_id, first.parent_id) == (503, TRACE, SPAN)
    assert (second.status, second.parent_id) == (503, b"")
    assert [each.status for record in (first, second) for each in record.tries] == [503, 503]


async def test_each_try_is_a_span(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    async def answer(request: Received) -> bytes:
        status = b"503 x" if len(origin.requests) < 3 else b"200 OK"
        return b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n"

    origin = await make_origin(answer)
    retry = RetryPolicy(attempts=2, conditions=(RetryCondition.STATUS,), statuses=(503,), backoff=0.001)
    plane.route(rule(retry=retry), origins=(origin,))
    trace(plane, 1)
    client = await plane.connect()
    assert (await client.get()).status == 200
    (record,) = taken(plane)
    assert [each.status for each in record.tries] == [503, 503, 200]
    assert [told(request)[1] for request in origin.requests] == [each.span_id for each in record.tries]


async def test_a_rule_has_a_share_of_its_own(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    plane.route(rule(trace_sampling=1.0), origins=(origin,))
    trace(plane, 0)
    client = await plane.connect()
    await client.get()
    await client.get(b"/", UNSAMPLED)
    assert len(taken(plane)) == 1


async def test_what_no_rule_takes_is_recorded_too(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    plane.route(rule(hostnames=("other.example",)), origins=(await make_origin(),))
    trace(plane, 1)
    client = await plane.connect()
    assert (await client.get()).status == 404
    (record,) = taken(plane)
    assert (record.status, record.rule, record.tries) == (404, "", ())


async def test_b3_in_both_forms(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    plane.route(rule(), origins=(origin,))
    trace(plane, 0, Propagation.B3_MULTI, Propagation.W3C)
    client = await plane.connect()
    await client.get(b"/", b"X-B3-TraceId: " + TRACE, b"X-B3-SpanId: " + SPAN, b"X-B3-Sampled: 1")
    (record,) = taken(plane)
    (request,) = origin.requests
    assert (record.trace_id, record.parent_id) == (TRACE, SPAN)
    span_id = record.tries[0].span_id
    assert (request.field(b"X-B3-TraceId"), request.field(b"X-B3-SpanId")) == (TRACE, span_id)
    assert told(request) == (TRACE, span_id, True)


async def test_without_tracing_nothing_is_touched(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    plane.route(rule(), origins=(origin,))
    client = await plane.connect()
    await client.get(b"/", SAMPLED)
    assert told(origin.requests[0]) == (TRACE, SPAN, True)
    assert taken(plane) == []
