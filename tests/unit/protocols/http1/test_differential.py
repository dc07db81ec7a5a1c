"""Whatever we accept, h11 and llhttp (by httptools; node has it) accept too, and frame alike.

Where one of the two is known to differ, the exception is listed here with its reason. Both may accept more than we do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import h11
import httptools
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from meshproxy.protocols.http1.chunked import ChunkedReader
from meshproxy.protocols.http1.errors import MalformedBody, MalformedRequest, MalformedResponse
from meshproxy.protocols.http1.request import CHUNKED, RequestHead, parse_request
from meshproxy.protocols.http1.response import UNTIL_CLOSE, ResponseHead, parse_response
from tests.unit.protocols.http1 import messages

STEADY = settings(max_examples=250)
BODY = b"hello world"
CHUNKED_BODY = b"5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX: y\r\n\r\n"
NEXT_REQUEST = b"GET /next HTTP/1.1\r\nHost: next\r\n\r\n"
NEXT_RESPONSE = b"HTTP/1.1 299 Next\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Framed:
    """How one parser read one message."""

    start: tuple[bytes, ...] = ()  # method and target, or status
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    is_whole: bool = False
    keep_alive: bool = False
    has_next: bool = False
    """Whether the message that was sent right after it was read as a second one."""


# -- the others --------------------------------------------------------------------------


def by_h11(role: Any, data: bytes, method: bytes = b"GET") -> Framed:
    """Raises h11.RemoteProtocolError."""
    connection = h11.Connection(our_role=role, max_incomplete_event_size=2**20)
    if role is h11.CLIENT:
        connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    framed = Framed()
    while not framed.is_whole:
        event = connection.next_event()
        if event in (h11.NEED_DATA, h11.PAUSED):
            break
        if isinstance(event, h11.Request):
            framed.start = (event.method, event.target)
        elif isinstance(event, (h11.Response, h11.InformationalResponse)):
            framed.start = (b"%d" % event.status_code,)
            framed.is_whole = isinstance(event, h11.InformationalResponse)
        elif isinstance(event, h11.Data):
            framed.body += event.data
        elif isinstance(event, h11.EndOfMessage):
            framed.is_whole = True
        if isinstance(event, (h11.Request, h11.Response, h11.InformationalResponse)):
            framed.fields = list(event.headers)
    if str(connection.their_state) == "MIGHT_SWITCH_PROTOCOL":  # no, it does not
        connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
    framed.keep_alive = connection.their_state not in (h11.MUST_CLOSE, h11.CLOSED)
    framed.has_next = connection.trailing_data[0].startswith((NEXT_REQUEST, NEXT_RESPONSE))
    return framed


class _Listener:
    """What httptools calls."""

    def __init__(self) -> None:
        self.framed = Framed()
        self.url = b""
        self.parser: Any = None
        self.begun = 0
        self.in_trailers = False

    def on_message_begin(self) -> None:
        self.begun += 1

    def on_url(self, url: bytes) -> None:
        if self.begun == 1:
            self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.begun == 1 and not self.in_trailers:
            self.framed.fields.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        if self.begun == 1:
            self.in_trailers = True
            self.framed.keep_alive = self.parser.should_keep_alive()
            if isinstance(self.parser, httptools.HttpResponseParser):
                self.framed.start = (b"%d" % self.parser.get_status_code(),)
            else:
                self.framed.start = (self.parser.get_method(), self.url)
        elif self.framed.is_whole:
            self.framed.has_next = True

    def on_body(self, body: bytes) -> None:
        if self.begun == 1:
            self.framed.body += body

    def on_message_complete(self) -> None:
        if self.begun == 1:
            self.framed.is_whole = True


def by_llhttp(parser: Callable[[Any], Any], data: bytes) -> Framed:
    """Raises httptools.HttpParserError."""
    listener = _Listener()
    listener.parser = parser(listener)
    try:
        listener.parser.feed_data(data)
    except httptools.HttpParserUpgrade as upgrade:
        listener.framed.has_next = data[upgrade.args[0] :].startswith(NEXT_REQUEST)
    return listener.framed


# -- ours --------------------------------------------------------------------------------


def body_for(length: int) -> bytes:
    """The bytes that follow a head whose body is so long."""
    if length == CHUNKED:
        return CHUNKED_BODY
    return (BODY * (length // len(BODY) + 1))[:length] if 0 <= length < 1000 else b""


def data_of(length: int) -> bytes:
    return BODY if length == CHUNKED else body_for(length)


def fields_of(raw: bytes) -> list[tuple[bytes, bytes]]:
    """Read in the plainest way there is: lines at CRLF, names up to the first colon; in lower case."""
    lines = raw[:-4].split(b"\r\n")[1:]
    return [(name.lower(), value.strip(b" \t").lower()) for name, _, value in (line.partition(b":") for line in lines)]


def accepted_request(raw: bytes) -> RequestHead | None:
    try:
        return parse_request(raw)
    except MalformedRequest:
        return None


def accepted_response(raw: bytes, to_head: bool) -> ResponseHead | None:
    try:
        return parse_response(raw, to_head)
    except MalformedResponse:
        return None


# -- requests ----------------------------------------------------------------------------


def reads_proxy_connection(raw: bytes) -> bool:
    """llhttp reads this field, of no specification, as Connection; we take it out (`hop_by_hop`)."""
    return b"\r\nproxy-connection:" in raw.lower()


def llhttp_differs_on_request(head: RequestHead) -> str:
    """Why llhttp refuses, or reads in another way, what RFC 9112 allows; empty where it should not."""
    if b" HTTP/1.0\r\n" not in head.raw and b" HTTP/1.1\r\n" not in head.raw:
        return "only knows the versions that there are (RFC 9110 §2.5 has a later minor one read as 1.1)"
    if head.method not in messages.METHODS:
        return "only knows the methods that are registered"
    if reads_proxy_connection(head.raw):
        return "reads Proxy-Connection as Connection"
    return ""


@STEADY
@given(messages.requests() | messages.noise(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX: y\r\n\r\n"))
@example(b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
@example(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0000000005\r\n\r\n")
def test_requests(raw: bytes) -> None:
    head = accepted_request(raw)
    if head is None or head.length > 1000:
        return
    data = raw + body_for(head.length) + (NEXT_REQUEST if head.keep_alive else b"")
    framings = {"h11": by_h11(h11.SERVER, data)}
    if not llhttp_differs_on_request(head):
        framings["llhttp"] = by_llhttp(httptools.HttpRequestParser, data)
    for name, framed in framings.items():
        assert framed.start == (head.method, head.target), name
        assert framed.is_whole, name
        if name == "llhttp" and b"upgrade" in dict(framed.fields) and b"upgrade" in _options(head):
            # It takes any request that asks for an upgrade for one without a body: why we ignore those that have one,
            # and do not pass their Upgrade on.
            assert head.upgrade is not None or head.length or not head.minor
            continue
        assert framed.body == data_of(head.length), name
        assert framed.keep_alive == keeps(name, raw, head.keep_alive), name
        assert framed.has_next or not head.keep_alive, name
        assert [(key, value.lower()) for key, value in framed.fields] == fields_of(raw), name


def _options(head: RequestHead) -> bytes:
    return (head.header(b"connection") or b"").lower()


def keeps(name: str, raw: bytes, keep_alive: bool) -> bool:
    """What a parser should say; h11 never keeps a connection to an HTTP/1.0 peer, whatever that asks for."""
    is_old = raw.startswith(b"HTTP/1.0 ") or b" HTTP/1.0\r\n" in raw
    return keep_alive and not (name == "h11" and is_old)


REFUSED_BY_ALL = [
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0\r\n\r\n",
]


@pytest.mark.parametrize("raw", REFUSED_BY_ALL, ids=repr)
def test_the_others_are_asked_rightly(raw: bytes) -> None:
    """What all three refuse: or the properties above could be true of nothing."""
    with pytest.raises(MalformedRequest):
        parse_request(raw)
    with pytest.raises(h11.RemoteProtocolError):
        by_h11(h11.SERVER, raw + NEXT_REQUEST)
    with pytest.raises(httptools.HttpParserError):
        by_llhttp(httptools.HttpRequestParser, raw + NEXT_REQUEST)


# -- responses ---------------------------------------------------------------------------


@STEADY
@given(messages.responses() | messages.noise(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\n"), st.booleans())
@example(b"HTTP/1.1 200 OK\r\n\r\n", False)
@example(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n", False)
@example(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", False)
@example(b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", False)
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", True)
def test_responses(raw: bytes, to_head: bool) -> None:
    head = accepted_response(raw, to_head)
    if head is None or head.length > 1000 or head.status == 101:
        return
    data = raw + body_for(head.length) + (NEXT_RESPONSE if head.keep_alive or head.length == UNTIL_CLOSE else b"")
    framings = {"h11": by_h11(h11.CLIENT, data, b"HEAD" if to_head else b"GET")}
    if not to_head and not reads_proxy_connection(
        raw
    ):  # llhttp is not told what was asked; who calls it has to see to that
        framings["llhttp"] = by_llhttp(httptools.HttpResponseParser, data)
    for name, framed in framings.items():
        assert framed.start == (b"%d" % head.status,), name
        assert [(key, value.lower()) for key, value in framed.fields] == fields_of(raw), name
        if head.length == UNTIL_CLOSE:
            assert not framed.is_whole, name
            assert framed.body == NEXT_RESPONSE, name
            continue
        assert framed.is_whole, name
        assert framed.body == data_of(head.length), name
        if not head.is_interim:
            assert framed.keep_alive == keeps(name, raw, head.keep_alive), name
            assert framed.has_next or not head.keep_alive, name


# -- chunked bodies ----------------------------------------------------------------------


def llhttp_refuses_extensions(body: bytes) -> bool:
    """It takes no tab in a quoted value, which RFC 9110 §5.6.4 allows."""
    return b"\t" in body


@STEADY
@given(messages.chunked_bodies() | messages.noise(b"5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nX: y\r\n\r\n"))
@example(b'5;a="b;c"\r\nhello\r\n0\r\n\r\n')
@example(b"0005\r\nhello\r\n0000\r\n\r\n")
def test_chunked_bodies(body: bytes) -> None:
    reader = ChunkedReader()
    slices: list[bytes] = []
    try:
        used = reader.feed(body, slices)
    except MalformedBody:
        return
    if not reader.done:
        return
    data = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body[:used] + NEXT_REQUEST
    framings = {"h11": by_h11(h11.SERVER, data)}
    if not llhttp_refuses_extensions(body):
        framings["llhttp"] = by_llhttp(httptools.HttpRequestParser, data)
    for name, framed in framings.items():
        assert framed.is_whole, name
        assert framed.body == b"".join(slices), name
        assert framed.has_next, name
