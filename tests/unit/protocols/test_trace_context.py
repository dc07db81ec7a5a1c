"""traceparent and B3: tables from their specifications, and any bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.protocols.trace_context import TraceParent, extract, field_lines, parse_b3, parse_traceparent
from meshproxy.snapshot.tracing import Propagation
from tests.support.routing import make_request

TRACE, SPAN = b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7"
ALL = tuple(Propagation)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"00-%b-%b-01" % (TRACE, SPAN), TraceParent(TRACE, SPAN, True)),
        (b"00-%b-%b-00" % (TRACE, SPAN), TraceParent(TRACE, SPAN, False)),
        (b"00-%b-%b-03" % (TRACE, SPAN), TraceParent(TRACE, SPAN, True)),
        (b"00-%b-%b-02" % (TRACE, SPAN), TraceParent(TRACE, SPAN, False)),
        (b"cc-%b-%b-01-what-the-future-has" % (TRACE, SPAN), TraceParent(TRACE, SPAN, True)),
        (b"cc-%b-%b-01" % (TRACE, SPAN), TraceParent(TRACE, SPAN, True)),
        (b"cc-%b-%b-01.x" % (TRACE, SPAN), None),
        (b"00-%b-%b-01-more" % (TRACE, SPAN), None),
        (b"ff-%b-%b-01" % (TRACE, SPAN), None),
        (b"00-%b-%b-01" % (TRACE.upper(), SPAN), None),
        (b"00-%b-%b-1" % (TRACE, SPAN), None),
        (b"00-%b-%b" % (TRACE, SPAN), None),
        (b"0-%b-%b-01" % (TRACE, SPAN), None),
        (b"00-%b-%b-01" % (b"0" * 32, SPAN), None),
        (b"00-%b-%b-01" % (TRACE, b"0" * 16), None),
        (b"00-%b-%b-01, 00-%b-%b-01" % (TRACE, SPAN, TRACE, SPAN), None),
        (b"", None),
    ],
)
def test_traceparent(value: bytes, expected: TraceParent | None) -> None:
    assert parse_traceparent(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"%b-%b-1" % (TRACE, SPAN), TraceParent(TRACE, SPAN, True)),
        (b"%b-%b-d" % (TRACE, SPAN), TraceParent(TRACE, SPAN, True)),
        (b"%b-%b-0" % (TRACE, SPAN), TraceParent(TRACE, SPAN, False)),
        (b"%b-%b" % (TRACE, SPAN), TraceParent(TRACE, SPAN, None)),
        (b"%b-%b-1-05e3ac9a4f6e3b90" % (TRACE, SPAN), TraceParent(TRACE, SPAN, True)),
        (b"%b-%b-1" % (SPAN, SPAN), TraceParent(b"0" * 16 + SPAN, SPAN, True)),
        (b"0", TraceParent(b"", b"", False)),
        (b"1", TraceParent(b"", b"", True)),
        (b"2", None),
        (b"%b-%b-2" % (TRACE, SPAN), None),
        (b"%b-1" % TRACE, None),
        (b"%b-%b-1" % (b"0" * 32, SPAN), None),
    ],
)
def test_b3(value: bytes, expected: TraceParent | None) -> None:
    assert parse_b3(value) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-B3-TraceId": TRACE, "X-B3-SpanId": SPAN, "X-B3-Sampled": b"1"}, TraceParent(TRACE, SPAN, True)),
        ({"X-B3-TraceId": TRACE, "X-B3-SpanId": SPAN, "X-B3-Sampled": b"false"}, TraceParent(TRACE, SPAN, False)),
        ({"X-B3-TraceId": TRACE, "X-B3-SpanId": SPAN, "X-B3-Flags": b"1"}, TraceParent(TRACE, SPAN, True)),
        ({"X-B3-TraceId": TRACE, "X-B3-SpanId": SPAN}, TraceParent(TRACE, SPAN, None)),
        ({"X-B3-Sampled": b"0"}, TraceParent(b"", b"", False)),
        ({"X-B3-TraceId": TRACE, "X-B3-Sampled": b"1"}, None),
        ({"X-B3-TraceId": b"xyz", "X-B3-SpanId": SPAN}, None),
        ({}, None),
    ],
)
def test_b3_fields(headers: dict[str, bytes], expected: TraceParent | None) -> None:
    request = make_request(headers={name: value.decode() for name, value in headers.items()})
    assert extract(request, (Propagation.B3_MULTI,)) == expected


def test_the_first_way_that_says_anything_valid_counts() -> None:
    other = TRACE[::-1]
    headers = {"traceparent": "nonsense", "b3": f"{other.decode()}-{SPAN.decode()}-1"}
    assert extract(make_request(headers=headers), ALL) == TraceParent(other, SPAN, True)
    headers["traceparent"] = f"00-{TRACE.decode()}-{SPAN.decode()}-00"
    assert extract(make_request(headers=headers), ALL) == TraceParent(TRACE, SPAN, False)
    assert extract(make_request(headers=headers), (Propagation.B3,)) == TraceParent(other, SPAN, True)


@pytest.mark.parametrize("way", ALL)
@pytest.mark.parametrize("sampled", [True, False])
def test_what_is_written_is_read(way: Propagation, sampled: bool) -> None:
    lines = field_lines((way,), TRACE, SPAN, sampled).decode().splitlines()
    request = make_request(headers=dict(line.split(": ") for line in lines))
    assert extract(request, (way,)) == TraceParent(TRACE, SPAN, sampled)


@given(st.binary(max_size=80))
def test_any_bytes(value: bytes) -> None:
    for found in (parse_traceparent(value), parse_b3(value)):
        assert found is None or (len(found.trace_id), len(found.span_id)) in ((32, 16), (0, 0))
