"""What holds for any bytes at all: a valid message or a protocol error, and the same whatever the pieces."""

from __future__ import annotations

import re
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from meshproxy.protocols.http1 import chunked, request, response, syntax
from meshproxy.protocols.http1.chunked import ChunkedReader
from meshproxy.protocols.http1.errors import MalformedBody, MalformedRequest, MalformedResponse
from meshproxy.protocols.http1.request import CHUNKED, RequestHead, parse_request
from meshproxy.protocols.http1.response import UNTIL_CLOSE, ResponseHead, parse_response
from tests.unit.protocols.http1 import messages

STEADY = settings(max_examples=200)


STATUSES = {400, 413, 417, 426, 501, 505}


def head_of(raw: bytes) -> RequestHead | None:
    """None where it is refused; any error but that one fails the test."""
    try:
        return parse_request(raw)
    except MalformedRequest as refused:
        error = refused
    assert error.status in STATUSES
    assert error.message.isprintable()
    return None


def response_of(raw: bytes, to_head: bool = False) -> ResponseHead | None:
    try:
        return parse_response(raw, to_head)
    except MalformedResponse as refused:
        error = refused
    assert error.message.isprintable()
    return None


def may_begin_a_request(data: bytes) -> bool:
    try:
        request.check_beginning(data)
        return True
    except MalformedRequest as refused:
        error = refused
    assert error.status in STATUSES
    return False


def may_begin_a_response(data: bytes) -> bool:
    try:
        response.check_beginning(data)
        return True
    except MalformedResponse:
        return False


# -- heads -------------------------------------------------------------------------------


@STEADY
@given(st.binary(max_size=200) | messages.requests() | messages.noise(b"GET /a HTTP/1.1\r\nHost: a:80\r\n\r\n"))
@example(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: " + b"1" * 5000 + b"\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: [" + b"." * 45 + b"]\r\n\r\n")
@example(b" HTTP/1.1\r\n\r\n")
def test_any_bytes_are_a_request_or_refused(raw: bytes) -> None:
    head = head_of(raw)
    beginnings = [may_begin_a_request(raw[:end]) for end in range(len(raw))]
    if head is None:
        # Once refused is refused for good, so that it does not matter how the bytes arrive.
        assert beginnings == sorted(beginnings, reverse=True)
        return
    assert all(beginnings)
    assert raw.startswith(head.method + b" " + head.target + b" HTTP/1.")
    assert raw.index(b"\r\n\r\n") == len(raw) - 4
    assert head.raw == raw
    assert head.length >= CHUNKED
    assert head.minor or (head.length != CHUNKED and head.upgrade is None and not head.expects_continue)
    assert head.path == b"*" or head.path.startswith(b"/")
    assert bool(head.host) or not head.minor
    assert head.host == head.host.lower()


@STEADY
@given(
    st.binary(max_size=200) | messages.responses() | messages.noise(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n"), st.booleans()
)
@example(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"1" * 5000 + b"\r\n\r\n", False)
def test_any_bytes_are_a_response_or_refused(raw: bytes, to_head: bool) -> None:
    head = response_of(raw, to_head)
    beginnings = [may_begin_a_response(raw[:end]) for end in range(len(raw))]
    if head is None:
        assert beginnings == sorted(beginnings, reverse=True)
        return
    assert all(beginnings)
    assert raw.index(b"\r\n\r\n") == len(raw) - 4
    assert head.length >= UNTIL_CLOSE
    assert not (head.keep_alive and head.length == UNTIL_CLOSE)
    assert head.length == 0 or not (to_head or head.status < 200 or head.status in (204, 304))


@STEADY
@given(messages.requests(), st.sampled_from([b"\n", b"\r", b"\0", b"\x0b", b"\x7f"]), st.integers(0, 400))
def test_a_control_character_anywhere_is_refused(raw: bytes, what: bytes, at: int) -> None:
    if head_of(raw) is not None:
        at = min(at, len(raw) - 4)
        assert head_of(raw[:at] + what + raw[at:]) is None


# -- chunked bodies ----------------------------------------------------------------------


def read(pieces: list[bytes]) -> tuple[bytes, int, bool] | None:
    """The data, how many bytes belong to the body, whether it is whole; None where it is refused."""
    reader = ChunkedReader()
    slices: list[bytes] = []
    used = 0
    try:
        for piece in pieces:
            taken = reader.feed(piece, slices)
            assert 0 <= taken <= len(piece)
            assert taken == len(piece) or reader.done
            used += taken
    except MalformedBody:
        return None
    assert reader.payload == sum(map(len, slices))
    return b"".join(slices), used, reader.done


@st.composite
def cut(draw: st.DrawFn, bodies: st.SearchStrategy[bytes]) -> list[bytes]:
    """A body in pieces."""
    body = draw(bodies)
    ends = sorted(draw(st.sets(st.integers(0, len(body)), max_size=8)) | {len(body)})
    return [body[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


@STEADY
@given(
    cut(st.binary(max_size=60) | messages.chunked_bodies() | messages.noise(b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\nmore"))
)
def test_any_pieces_read_alike(pieces: list[bytes]) -> None:
    body = b"".join(pieces)
    at_once = read([body])
    assert read(pieces) == at_once
    assert read([body[at : at + 1] for at in range(len(body))]) == at_once


@STEADY
@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8), st.binary(max_size=20))
def test_what_is_written_is_read(chunks: list[bytes], more: bytes) -> None:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    assert read([body + more]) == (b"".join(chunks), len(body), True)


# -- how patterns are made -----------------------------------------------------------------

PATTERNS = {
    f"{module.__name__.rpartition('.')[2]}.{name}": pattern
    for module in (syntax, request, response, chunked)
    for name, pattern in vars(module).items()
    if isinstance(pattern, re.Pattern)
}


def backtracking(parsed: object) -> list[str]:
    """The open-ended repeats in a parsed pattern that can be given back."""
    from re import _constants, _parser  # type: ignore[attr-defined]

    found: list[str] = []

    def walk(sequence: object) -> None:
        for op, value in sequence:  # type: ignore[attr-defined]
            if op in (_constants.MAX_REPEAT, _constants.MIN_REPEAT) and value[1] == _constants.MAXREPEAT:
                found.append(str(value))
            for part in value if isinstance(value, (tuple, list)) else (value,):
                for each in part if isinstance(part, list) else (part,):
                    if isinstance(each, _parser.SubPattern):
                        walk(each)

    walk(parsed)
    return found


@pytest.mark.parametrize("name", PATTERNS)
def test_no_pattern_backtracks(name: str) -> None:
    """So that a head is read once, whatever is in it: every open-ended repeat is possessive."""
    from re import _parser  # type: ignore[attr-defined]

    if name == "syntax.IS_TOKEN":  # one set, to the end
        return
    assert backtracking(_parser.parse(PATTERNS[name].pattern)) == []


def test_backtracking_is_found() -> None:
    from re import _parser  # type: ignore[attr-defined]

    assert sys.version_info >= (3, 11)
    assert len(PATTERNS) > 10
    for pattern in (b"a*", b"(?:b|(a+))c", b"(?=a+?)", b"(?:a*)*+", b"(?i:a{2,})"):
        assert backtracking(_parser.parse(pattern)), pattern
    assert not backtracking(_parser.parse(b"a*+(?:b++c?)*+d{1,3}"))
