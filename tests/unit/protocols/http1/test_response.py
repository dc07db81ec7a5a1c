"""A response's head: status lines, where its body ends, and whether its connection can be used again."""

from __future__ import annotations

import pytest

from meshproxy.protocols.http1.errors import MalformedResponse
from meshproxy.protocols.http1.request import CHUNKED
from meshproxy.protocols.http1.response import UNTIL_CLOSE, ResponseHead, check_beginning, parse_response
from tests.unit.protocols.http1 import heads

OK = b"HTTP/1.1 200 OK"
OLD = b"HTTP/1.0 200 OK"


def parsed(*fields: bytes, line: bytes = OK, to_head: bool = False) -> ResponseHead:
    raw = heads.head(line, *fields)
    head = parse_response(raw, to_head)
    assert head.raw == raw
    return head


def refusal(*fields: bytes, line: bytes = OK, to_head: bool = False) -> str:
    with pytest.raises(MalformedResponse) as caught:
        parse_response(heads.head(line, *fields), to_head)
    assert str(caught.value) == caught.value.message
    return caught.value.message


# -- the status line ---------------------------------------------------------------------

LINES = {
    b"HTTP/1.1 200 OK": (1, 200),
    b"HTTP/1.0 200 OK": (0, 200),
    b"HTTP/1.1 404 Not Found": (1, 404),
    b"HTTP/1.1 200 ": (1, 200),
    b"HTTP/1.1 200": (1, 200),  # without the space that RFC 9112 §4 asks for; common, and clear
    b"HTTP/1.1 200  two\tspaces ": (1, 200),
    b"HTTP/1.1 200 \xe9\xff": (1, 200),
    b"HTTP/1.1 599 x": (1, 599),
    b"HTTP/1.1 999 x": (1, 999),
}


@pytest.mark.parametrize("line", LINES, ids=repr)
def test_status_lines(line: bytes) -> None:
    head = parsed(line=line)
    assert (head.minor, head.status) == LINES[line]


BAD_LINES = [
    b"", b" HTTP/1.1 200 OK", b"HTTP/1.1  200 OK", b"HTTP/1.1\t200 OK", b"HTTP/1.1 200\tOK", b"HTTP/1.1 2000 OK",
    b"HTTP/1.1 20 OK", b"HTTP/1.1 099 OK", b"HTTP/1.1 +20 OK", b"HTTP/1.1 2x0 OK", b"HTTP/1.1 \xb2\xb2\xb2 OK",
    b"HTTP/1.1 200OK", b"HTTP/1.1", b"HTTP/1.1 ", b"HTTP/1.2 200 OK", b"HTTP/2.0 200 OK", b"HTTP/2 200 OK",
    b"HTTP/0.9 200 OK", b"HTTP/1.10 200 OK", b"http/1.1 200 OK", b"ICY 200 OK", b"HTTP/1.1 200 O\0K",
    b"HTTP/1.1 200 O\x7fK", b"HTTP/1.1 200 O\rK", b"HTTP/1.1 200 O\nK", b"HTTP/1.1 200 OK\r", b"<html>",
]  # fmt: skip


@pytest.mark.parametrize("line", BAD_LINES, ids=repr)
def test_status_lines_refused(line: bytes) -> None:
    assert refusal(line=line) == "it does not begin with an HTTP/1.x status line"


BAD_FIELDS = {
    b"X : a": "name", b": a": "name", b"X": "name", b"X\xe9: a": "name", b" X: a": "folded", b"Y: z\r\n a": "folded",
    b"X: a\0": "control", b"X: \x7f": "control", b"X: a\nY: z": "bare", b"X: a\rb": "bare", b"X: a\r": "bare",
    b"Content-Length : 5": "name", b"Transfer-Encoding:\r\n chunked": "folded",
    b"Transfer-Encoding: chunked\x0b": "control",
}  # fmt: skip


@pytest.mark.parametrize("field", BAD_FIELDS, ids=repr)
@pytest.mark.parametrize("others", [(), (b"Content-Length: 5",)], ids=["alone", "beside a length"])
def test_fields_refused(field: bytes, others: tuple[bytes, ...]) -> None:
    assert BAD_FIELDS[field] in refusal(field, *others)
    assert BAD_FIELDS[field] in refusal(*others, field)


# -- where the body ends -----------------------------------------------------------------

KEEP = b"Connection: keep-alive"
CLOSE = b"Connection: close"
BODIES: dict[str, tuple[bytes, tuple[bytes, ...], int, bool]] = {  # length, keep_alive
    "a length": (OK, (b"Content-Length: 5",), 5, True),
    "no body": (OK, (b"content-length:0",), 0, True),
    "white space": (OK, (b"Content-Length:\t 5 \t",), 5, True),
    "leading zeros": (OK, (b"Content-Length: 0005",), 5, True),
    "18 digits": (OK, (b"Content-Length: " + b"9" * 18,), 10**18 - 1, True),
    "a length, close": (OK, (b"Content-Length: 5", CLOSE), 5, False),
    "a length, keep-alive": (OK, (b"Content-Length: 5", KEEP), 5, True),
    "keep-alive, a length": (OK, (KEEP, b"Content-Length: 5"), 5, True),
    "keep-alive twice": (OK, (KEEP, KEEP, b"Content-Length: 5"), 5, True),
    "close, then keep-alive": (OK, (b"Content-Length: 5", CLOSE, KEEP), 5, False),
    "close, then keep-alive and no length": (OK, (CLOSE, KEEP), UNTIL_CLOSE, False),
    "keep-alive, then close": (OK, (b"Content-Length: 5", KEEP, CLOSE), 5, False),
    "close in a list": (OK, (b"Content-Length: 5", b"Connection: x, Close"), 5, False),
    "chunked": (OK, (b"Transfer-Encoding: chunked",), CHUNKED, True),
    "Chunked and keep-alive": (OK, (b"TRANSFER-ENCODING:Chunked ", KEEP), CHUNKED, True),
    "chunked, close": (OK, (b"Transfer-Encoding: chunked", CLOSE), CHUNKED, False),
    "until it closes": (OK, (), UNTIL_CLOSE, False),
    "until it closes, whatever it says": (OK, (KEEP,), UNTIL_CLOSE, False),
    "1.0, until it closes": (OLD, (), UNTIL_CLOSE, False),
    "1.0, until it closes, whatever it says": (OLD, (KEEP,), UNTIL_CLOSE, False),
    "1.0 with a length": (OLD, (b"Content-Length: 5",), 5, False),
    "1.0 that keeps": (OLD, (b"Content-Length: 5", b"Connection: Keep-Alive"), 5, True),
    "1.0, as nginx says it": (OLD, (b"Content-Length: 5", KEEP), 5, True),
    "another field of that value": (OK, (b"Content-Length: 5", b"Upgrade: keep-alive"), 5, True),
    "204": (b"HTTP/1.1 204 No Content", (), 0, True),
    "204 with a length of 0": (b"HTTP/1.1 204 No Content", (b"Content-Length: 0",), 0, True),
    "204, close": (b"HTTP/1.1 204 No Content", (CLOSE,), 0, False),
    "204 in 1.0": (b"HTTP/1.0 204 No Content", (), 0, False),
    "205": (b"HTTP/1.1 205 Reset Content", (b"Content-Length: 0",), 0, True),
    "304": (b"HTTP/1.1 304 Not Modified", (), 0, True),
    "304 with what 200 would have": (b"HTTP/1.1 304 Not Modified", (b"Content-Length: 5",), 0, True),
    "304 chunked (RFC 9112 §6.1)": (b"HTTP/1.1 304 Not Modified", (b"Transfer-Encoding: chunked",), 0, True),
    "100": (b"HTTP/1.1 100 Continue", (), 0, True),
    "101": (b"HTTP/1.1 101 Switching", (b"Connection: upgrade", b"Upgrade: x"), 0, True),
    "103": (b"HTTP/1.1 103 Early Hints", (b"Link: a",), 0, True),
}  # fmt: skip


@pytest.mark.parametrize(("line", "fields", "length", "keep_alive"), BODIES.values(), ids=BODIES.keys())
def test_bodies(line: bytes, fields: tuple[bytes, ...], length: int, keep_alive: bool) -> None:
    for mixed in (fields, (*fields, b"Date: today"), (b"Server: x", *fields)):
        head = parsed(*mixed, line=line)
        assert (head.length, head.keep_alive) == (length, keep_alive)
        to_head = parsed(*mixed, line=line, to_head=True)
        assert to_head.length == 0
        assert to_head.keep_alive >= keep_alive


def test_an_answer_to_head_needs_no_length_to_keep() -> None:
    assert parsed(to_head=True).keep_alive
    assert not parsed(CLOSE, to_head=True).keep_alive
    assert not parsed(line=OLD, to_head=True).keep_alive


@pytest.mark.parametrize(
    "value", [b"", b"+5", b"-5", b"0x5", b"5,5", b"5, 5", b"5 5", b"5.0", b"five", b"\xb2", b"1" * 19, b"1" * 5000]
)  # fmt: skip
def test_lengths_refused(value: bytes) -> None:
    for to_head in (False, True):
        for more in ((), (KEEP,), (CLOSE,)):
            assert refusal(b"Content-Length: " + value, *more, to_head=to_head) == "the Content-Length is not a number"


def test_framing_in_two_ways_is_refused() -> None:
    assert refusal(b"Content-Length: 5", b"Content-length: 5") == "more than one Content-Length"
    for fields in (
        (b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: x", b"Content-Length: x"),
    ):
        assert refusal(*fields) == refusal(*fields[::-1]) == "Content-Length beside Transfer-Encoding"
    assert refusal(b"Transfer-Encoding: chunked", line=OLD) == "Transfer-Encoding in HTTP/1.0"


@pytest.mark.parametrize(
    "value",
    [b"", b"xchunked", b"gzip", b"identity", b"gzip, chunked", b"chunked, chunked", b"chunked,", b"chunked;a=b"],
)
def test_codings_refused(value: bytes) -> None:
    assert refusal(b"Transfer-Encoding: " + value) == "the Transfer-Encoding is not just chunked"
    fields = (b"Transfer-Encoding: chunked", b"Transfer-Encoding: " + value)
    assert refusal(*fields) == refusal(*fields[::-1]) == "the Transfer-Encoding is not just chunked"


@pytest.mark.parametrize("status", [100, 101, 103, 199, 204])
@pytest.mark.parametrize("field", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("to_head", [False, True])
def test_a_body_where_there_is_none_is_refused(status: int, field: bytes, to_head: bool) -> None:
    """Or the next response would begin with what this one's server sent as a body."""
    message = f"a body is announced with status {status}, which has none"
    assert refusal(field, line=b"HTTP/1.1 %d x" % status, to_head=to_head) == message


# -- the rest ----------------------------------------------------------------------------


def test_interim() -> None:
    interim = [status for status in range(100, 1000) if parsed(line=b"HTTP/1.1 %d x" % status).is_interim]
    assert interim == [100, *range(102, 200)]


def test_connection() -> None:
    head = parsed(b"Connection: X-Mine, close, a b", b"Content-Length: 0", b"connection: upgrade,Y")
    assert head.nominated == (b"x-mine", b"y")  # what is no token is nobody's name
    assert head.hop_by_hop
    assert not head.keep_alive
    for name in (b"Content-Length", b"transfer-encoding"):
        assert refusal(b"Connection: " + name) == "Connection names a field that frames the body"


@pytest.mark.parametrize("field", [b"Keep-Alive: timeout=5", b"Proxy-Connection: close", b"Upgrade: h2c", KEEP, CLOSE])
def test_fields_of_one_hop(field: bytes) -> None:
    assert parsed(field, b"Content-Length: 0").hop_by_hop
    assert parsed(b"Content-Length: 0", field).hop_by_hop
    assert not parsed(b"Content-Length: 0", b"X-" + field).hop_by_hop


def test_upgrade() -> None:
    assert parsed(b"Upgrade: a ", b"upgrade:b", line=b"HTTP/1.1 101 Switching").upgrade == b"a, b"
    assert parsed(line=b"HTTP/1.1 101 Switching").upgrade is None


EARLY = [
    b"X", b"HTTP/2", b"HTTP/1.2", b"HTTP/1.1\t", b"HTTP/1.1 0", b"HTTP/1.1 2000", b"HTTP/1.1 20 ", b"HTTP/1.1 200\n",
    b"HTTP/1.1 200 O\0", b"HTTP/1.1 200 OK\rX", b"HTTP/1.1 200 OK\r\nA: b\r\n ", b"HTTP/1.1 200 OK\r\nA: b\n",
    b"HTTP/1.1 200 OK\r\n:", b"HTTP/1.1 200 OK\r\nA ", b"HTTP/1.1 200 OK\r\nA: \x00",
]  # fmt: skip


@pytest.mark.parametrize("data", EARLY, ids=repr)
def test_refused_at_once(data: bytes) -> None:
    for end in range(len(data)):
        check_beginning(data[:end])
    with pytest.raises(MalformedResponse, match=r"status line|bare LF|folded|name|control"):
        check_beginning(data)


def test_a_beginning_is_not_refused() -> None:
    raw = heads.head(b"HTTP/1.0 404", b"Content-Length: 5", b"X:", b"Y: \xff\t")
    for end in range(len(raw)):
        check_beginning(raw[:end])
