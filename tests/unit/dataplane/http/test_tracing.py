"""What is recorded of requests, and what their upstreams are told."""

from __future__ import annotations

import re
from random import Random

import pytest

from meshproxy.dataplane.http.tracing import MAX_FIELD, MAX_HEAD, Tracer
from meshproxy.protocols.http1.request import parse_request
from meshproxy.snapshot.http import HTTPListener
from meshproxy.snapshot.messages import TraceRecord
from meshproxy.snapshot.routes import Filters, Mirror, PathRewrite, RetryCondition, RetryPolicy, Rewrite
from meshproxy.snapshot.tracing import Propagation, Tracing
from tests.support.access import decoded
from tests.support.dataplane import wait_until
from tests.support.http import OK, HTTPPlane, Received, rule
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


async def test_without_a_collector_contexts_pass_as_they_are(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    """A span of ours would be missing from the callers' traces."""
    origin = await make_origin()
    plane.route(rule(), origins=(origin,))
    config = Tracing(sampling=0.0, propagation=(Propagation.W3C, Propagation.B3), records=False)
    plane.plane.http.tracer = Tracer(config, Random(1))
    client = await plane.connect()
    await client.get(b"/", SAMPLED)
    (request,) = origin.requests
    assert told(request) == (TRACE, SPAN, True)
    assert request.field(b"b3") == b"%b-%b-1" % (TRACE, SPAN)
    assert taken(plane) == []


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


@pytest.mark.parametrize("sampling", [0, 1])
@pytest.mark.parametrize("fields", [(), (b"traceparent: nonsense",)])
async def test_a_state_without_a_trace_goes_no_further(
    plane: HTTPPlane, make_origin: MakeOrigin, sampling: float, fields: tuple[bytes, ...]
) -> None:
    """It is of a trace that is not gone on with; baggage is of none."""
    origin = await make_origin()
    plane.route(rule(), origins=(origin,))
    trace(plane, sampling)
    client = await plane.connect()
    await client.get(b"/", b"tracestate: a=b", b"baggage: k=v", *fields)
    (request,) = origin.requests
    assert request.field(b"tracestate") is None
    assert request.field(b"baggage") == b"k=v"
    assert told(request)[2] is bool(sampling)


async def test_what_is_not_sampled_is_told_in_all_ways(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    """Or who knows B3 only would begin a trace of its own."""
    origin = await make_origin()
    plane.route(rule(), origins=(origin,))
    trace(plane, 1, Propagation.W3C, Propagation.B3, Propagation.B3_MULTI)
    client = await plane.connect()
    await client.get(b"/", UNSAMPLED)
    (request,) = origin.requests
    assert told(request) == (TRACE, SPAN, False)
    assert request.field(b"b3") == b"%b-%b-0" % (TRACE, SPAN)
    multi = [request.field(name) for name in (b"X-B3-TraceId", b"X-B3-SpanId", b"X-B3-Sampled")]
    assert multi == [TRACE, SPAN, b"0"]
    assert taken(plane) == []


@pytest.mark.parametrize("fields", [(), (SAMPLED,), (UNSAMPLED,)])
async def test_copies_are_told_of_a_trace_as_well(
    plane: HTTPPlane, make_origin: MakeOrigin, fields: tuple[bytes, ...]
) -> None:
    origins = (await make_origin(), await make_origin())
    plane.route(rule(filters=Filters(mirrors=(Mirror(cluster="c1"),))), origins=origins)
    trace(plane, 1)
    client = await plane.connect()
    await client.get(b"/", *fields)
    await wait_until(lambda: bool(origins[1].requests))
    assert told(origins[1].requests[0]) == told(origins[0].requests[0])


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
    assert told(origin.requests[1]) == (second.trace_id, second.tries[0].span_id, False), "in the trace that was told"


async def test_an_endpoint_that_did_not_answer_has_no_status(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    """What the proxy answers in its place is none of the endpoint's."""

    async def answer(request: Received) -> bytes | None:
        return None

    plane.route(rule(), origins=(await make_origin(answer),))
    trace(plane, 0, always_errors=True)
    client = await plane.connect()
    assert (await client.get()).status == 502
    (record,) = taken(plane)
    assert record.status == 502
    assert [(each.status, each.flag) for each in record.tries] == [(0, "UC")]


async def test_why_a_try_failed(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    """Each for itself: the request went well in the end."""
    origin = await make_origin()
    retry = RetryPolicy(attempts=2, conditions=(RetryCondition.RESET,), backoff=0.001)
    plane.route(rule(retry=retry), origins=(origin,))
    trace(plane, 1)
    client = await plane.connect()

    async def answer(request: Received) -> bytes | None:
        return None if len(origin.requests) < 2 else OK

    origin.answer = answer
    assert (await client.get()).status == 200
    (record,) = taken(plane)
    assert [(each.status, each.flag) for each in record.tries] == [(0, "UC"), (200, "")]
    assert {each.port for each in record.tries} == {origin.endpoint.address.port}


async def test_what_the_endpoint_was_sent_is_recorded_where_it_is_something_else(
    plane: HTTPPlane, make_origin: MakeOrigin
) -> None:
    origin = await make_origin()
    filters = Filters(rewrite=Rewrite(hostname="elsewhere", path=PathRewrite(full="/new")))
    plane.route(rule(filters=filters), origins=(origin,))
    trace(plane, 1)
    client = await plane.connect()
    await client.get(b"/old?x")
    (record,) = taken(plane)
    sent = parse_request(record.sent_head)
    assert (sent.path, sent.query_part, sent.authority) == (b"/new", b"x", b"elsewhere")
    assert record.head.startswith(b"GET /old?x ")


async def test_of_long_heads_a_part_is_kept(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    """Such that it is a head, whatever it was; an HTTP/1.0 one needs no host."""
    origin = await make_origin()
    plane.route(rule(), origins=(origin,))
    trace(plane, 1)
    long = b"X-Long: " + b"x" * 5000
    for line, fields in ((b"GET /%b HTTP/1.1" % (b"p" * 5000), b"Host: s\r\nUser-Agent: u"), (b"GET / HTTP/1.0", long)):
        client = await plane.connect()
        assert (await client.ask(line + b"\r\n" + fields + b"\r\n" + long + b"\r\n\r\n")).status == 200
    first, second = (parse_request(record.head) for record in taken(plane))
    assert len(first.raw) < MAX_HEAD + MAX_FIELD
    assert (first.authority, first.header(b"user-agent"), first.header(b"x-long")) == (b"s", b"u", None)
    assert (second.minor, second.authority) == (0, b"")


@pytest.mark.parametrize(("trusted", "expected"), [(("127.0.0.0/8",), "https"), ((), "http")])
async def test_the_scheme_is_what_a_trusted_proxy_says(
    plane: HTTPPlane, make_origin: MakeOrigin, trusted: tuple[str, ...], expected: str
) -> None:
    plane.route(rule(), origins=(await make_origin(),), http=HTTPListener(trusted_proxies=trusted))
    trace(plane, 1)
    client = await plane.connect()
    await client.get(b"/", b"X-Forwarded-Proto: https")
    (record,) = taken(plane)
    assert (record.scheme, record.upstream_scheme) == (expected, "http")
    assert record.peer_port == client.writer.get_extra_info("sockname")[1]


async def test_access_records_have_the_trace_recorded_or_not(plane: HTTPPlane, make_origin: MakeOrigin) -> None:
    origin = await make_origin()
    plane.route(rule(), origins=(origin,))
    plane.plane.http.wants_record = lambda status, seconds, flags: True
    trace(plane, 0)
    client = await plane.connect()
    for fields in ((SAMPLED,), (UNSAMPLED,), ()):
        await client.get(b"/", *fields)
    messages = map(decoded, plane.plane.take_access_records())
    records = [record for message in messages for record in message.records]
    assert [record.sampled for record in records] == [True, False, False]
    assert [record.trace_id.encode() for record in records] == [told(request)[0] for request in origin.requests]


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
