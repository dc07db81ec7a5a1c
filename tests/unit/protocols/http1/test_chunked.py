"""Chunked bodies: what is one, where it ends, and what is refused. Fed at once and a byte at a time."""

from __future__ import annotations

import pytest

from meshproxy.protocols.http1.chunked import MAX_LINE, MAX_OVERHEAD, MAX_TRAILERS, ChunkedReader
from meshproxy.protocols.http1.errors import MalformedBody

END = b"0\r\n\r\n"


def read(*pieces: bytes) -> tuple[bytes, int, bool]:
    """The data in `pieces`, how many bytes belong to the body, and whether it is whole."""
    reader = ChunkedReader()
    slices: list[bytes] = []
    used = 0
    for piece in pieces:
        used += reader.feed(piece, slices)
    assert reader.payload == sum(map(len, slices))
    assert b"" not in slices
    return b"".join(slices), used, reader.done


def bytes_of(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def refusal(data: bytes) -> str:
    with pytest.raises(MalformedBody) as at_once:
        read(data)
    with pytest.raises(MalformedBody) as by_bytes:
        read(*bytes_of(data))
    assert str(at_once.value).split()[0] == str(by_bytes.value).split()[0]
    return str(at_once.value)


BODIES = {
    "empty": (END, b""),
    "a chunk": (b"5\r\nhello\r\n" + END, b"hello"),
    "chunks": (b"5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n" + END, b"hello world"),
    "hexadecimal": (b"a\r\n0123456789\r\nB\r\n0123456789a\r\n" + END, b"01234567890123456789a"),
    "leading zeros": (b"0005\r\nhello\r\n0000\r\n\r\n", b"hello"),
    "15 digits": (b"00000000000000a\r\n0123456789\r\n000000000000000\r\n\r\n", b"0123456789"),
    "line ends in the data": (b"8\r\n0\r\n\r\n\r\n\n\r\n" + END, b"0\r\n\r\n\r\n\n"),
    "any byte in the data": (b"100\r\n" + bytes(range(256)) + b"\r\n" + END, bytes(range(256))),
    "an extension": (b"5;a=b\r\nhello\r\n0;c\r\n\r\n", b"hello"),
    "extensions": (b"5;a;b=c;d=e\r\nhello\r\n" + END, b"hello"),
    "a quoted extension": (b'5;a="b;c\\"d\\\\\t\xe9"\r\nhello\r\n' + END, b"hello"),
    "an empty quoted extension": (b'5;a=""\r\nhello\r\n' + END, b"hello"),
    "trailers": (b"5\r\nhello\r\n0\r\nX: y\r\nZ:\r\n\r\n", b"hello"),
    "trailers alone": (b"0\r\nServer-Timing: total;dur=1\r\n\r\n", b""),
    "a long extension": (b"5;" + b"a" * (MAX_LINE - 4) + b"\r\nhello\r\n" + END, b"hello"),
    "many short chunks": (b"1\r\nx\r\n" * 5000 + END, b"x" * 5000),
    "many short chunks with a little more": (b"01;a\r\nx\r\n" * 5000 + END, b"x" * 5000),
}


@pytest.mark.parametrize(("body", "data"), BODIES.values(), ids=BODIES.keys())
def test_bodies(body: bytes, data: bytes) -> None:
    assert read(body) == (data, len(body), True)
    assert read(*bytes_of(body)) == (data, len(body), True)
    assert read(body + b"GET / HTTP/1.1\r\n") == (data, len(body), True)  # what follows is not the body's
    assert not read(body[:-1])[2]
    reader = ChunkedReader()
    assert reader.feed(body) == len(body)
    assert (reader.done, reader.payload) == (True, len(data))
    assert reader.feed(b"more") == 0
    assert reader.feed(b"") == 0


@pytest.mark.parametrize(("body", "data"), list(BODIES.values())[:11], ids=list(BODIES)[:11])
def test_any_two_pieces(body: bytes, data: bytes) -> None:
    for at in range(len(body) + 1):
        assert read(body[:at], body[at:], b"") == (data, len(body), True)


SIZE = "a chunk's size is malformed"
BAD = {
    "no size": (b"\r\n", SIZE),
    "an extension without a size": (b";a\r\n", SIZE),
    "a sign": (b"+5\r\nhello\r\n", SIZE),
    "a minus": (b"-5\r\nhello\r\n", SIZE),
    "0x": (b"0x5\r\nhello\r\n", SIZE),
    "an underscore": (b"1_0\r\nhello\r\n", SIZE),
    "a letter beyond f": (b"g\r\nhello\r\n", SIZE),
    "white space first": (b" 5\r\nhello\r\n", SIZE),
    "white space last": (b"5 \r\nhello\r\n", SIZE),
    "a tab last": (b"5\t\r\nhello\r\n", SIZE),
    "white space within": (b"1 0\r\nhello\r\n", SIZE),
    "vertical tab": (b"5\x0b\r\nhello\r\n", SIZE),
    "two sizes": (b"5,5\r\nhello\r\n", SIZE),
    "a fraction": (b"5.0\r\nhello\r\n", SIZE),
    "a digit above ASCII": (b"\xb2\r\nhello\r\n", SIZE),
    "16 digits, which overflow": (b"f" * 16 + b"\r\n", SIZE),
    "17 digits, which wrap": (b"1" + b"0" * 15 + b"5\r\nhello\r\n", SIZE),
    "16 digits of nothing": (b"0" * 16 + b"\r\n\r\n", SIZE),
    "bare LF after the size": (b"5\nhello\r\n", SIZE),
    "bare CR after the size": (b"5\rhello\r\n", SIZE),
    "CR CR LF after the size": (b"5\r\r\nhello\r\n", SIZE),
    "NUL": (b"5\0\r\nhello\r\n", SIZE),
    "bare LF in an extension": (b"5;a\nb\r\nhello\r\n", SIZE),
    "bare LF in a quoted extension": (b'5;a="\n"\r\nhello\r\n', SIZE),
    "bare CR in an extension": (b"5;a\rb\r\nhello\r\n", SIZE),
    "bare CR in a quoted extension": (b'5;a="\rb"\r\nhello\r\n', SIZE),
    "a line end in a quoted extension": (b'5;a="\r\n"\r\nhello\r\n', SIZE),
    "an escaped line end": (b'5;a="\\\r\n"\r\n', SIZE),
    "NUL in a quoted extension": (b'5;a="\0"\r\nhello\r\n', SIZE),
    "an extension without a name": (b"5;\r\nhello\r\n", SIZE),
    "an extension without a name but a value": (b"5;=b\r\nhello\r\n", SIZE),
    "an extension without its value": (b"5;a=\r\nhello\r\n", SIZE),
    "an extension with two values": (b"5;a=b=c\r\nhello\r\n", SIZE),
    "an extension of two words": (b"5;a b\r\nhello\r\n", SIZE),
    "white space after an extension": (b"5;a \r\nhello\r\n", SIZE),
    "white space before an extension": (b"5 ;a\r\nhello\r\n", SIZE),
    "white space in an extension": (b"5; a\r\nhello\r\n", SIZE),
    "white space before a value": (b"5;a= b\r\nhello\r\n", SIZE),
    "a tab before the equals sign": (b"5;a\t=b\r\nhello\r\n", SIZE),
    "a quote that does not end": (b'5;a="b\r\nhello\r\n', SIZE),
    "a quote that is escaped": (b'5;a="b\\"\r\nhello\r\n', SIZE),
    "more after the quote": (b'5;a="b"c\r\nhello\r\n', SIZE),
    "a quoted name": (b'5;"a"\r\nhello\r\n', SIZE),
    "an extension above ASCII": (b"5;\xe9\r\nhello\r\n", SIZE),
    "too long an extension": (b"5;" + b"a" * (MAX_LINE - 3) + b"\r\nhello\r\n", "a chunk's size line is too long"),
    "a size that does not end": (b"0" * (MAX_LINE + 1), "a chunk's size line is too long"),
    "a bad second chunk": (b"5\r\nhello\r\nx\r\n", SIZE),
    "more data than its size": (b"5\r\nhello!\r\n" + END, "a chunk is longer than its size"),
    "less data than its size": (b"5\r\nhell\r\n" + END, "a chunk is longer than its size"),
    "bare LF after the data": (b"5\r\nhello\n" + END, "a chunk is longer than its size"),
    "bare CR after the data": (b"5\r\nhello\r0\r\n\r\n", "a chunk is longer than its size"),
    "no line end after the data": (b"5\r\nhello" + END, "a chunk is longer than its size"),
    "mostly extensions": ((b"1;" + b"a" * 998 + b"\r\nx\r\n") * 17, "the body has more in its chunks' size lines"),
    "short extensions, many": (b"1;aaaaaaaaaaaaaaaaaa\r\nx\r\n" * 4097, "the body has more in its chunks' size lines"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "message"), BAD.values(), ids=BAD.keys())
def test_refused(body: bytes, message: str) -> None:
    assert message in refusal(body)


def test_data_pays_for_extensions() -> None:
    """As in Go: two bytes of a size line for each byte of data, beside 16 a chunk and some in all."""
    chunk = b"1f0;" + b"a" * 1000 + b"\r\n" + bytes(0x1F0) + b"\r\n"
    body = chunk * (MAX_OVERHEAD // 8) + END
    assert read(body) == (bytes(0x1F0) * (MAX_OVERHEAD // 8), len(body), True)
    assert read(*(body[at : at + 777] for at in range(0, len(body), 777)))[1:] == (len(body), True)


# -- trailers ----------------------------------------------------------------------------

NO_TRAILER = "a trailer is malformed, or may not be one"
BARE = "bare LF or CR"
BAD_TRAILERS = {
    "no colon": (b"X\r\n\r\n", NO_TRAILER),
    "no name": (b": y\r\n\r\n", NO_TRAILER),
    "a space before the colon": (b"X : y\r\n\r\n", NO_TRAILER),
    "a space first": (b" X: y\r\n\r\n", NO_TRAILER),
    "a folded line": (b"X: y\r\n z\r\n\r\n", NO_TRAILER),
    "NUL": (b"X: \0\r\n\r\n", NO_TRAILER),
    "DEL": (b"X: \x7f\r\n\r\n", NO_TRAILER),
}
BARE_TRAILERS = [b"X: y\n", b"\n", b"X: y\n\n", b"X: y\rZ", b"X: y\r\r", b"\r\r", b"X: y\r\n\rZ"]
FORBIDDEN = [
    b"Transfer-Encoding: chunked", b"Content-Length: 5", b"content-length:0", b"HOST: a", b"Connection: close",
    b"Upgrade: a", b"TE: a", b"Trailer: X", b"Cookie: a", b"Set-Cookie: a=b", b"Authorization: a", b"Expect: a",
    b"Content-Encoding: gzip", b"Content-Type: a", b"Content-Range: a", b"Keep-Alive: 5", b"Proxy-Connection: close",
    b"Proxy-Authorization: a", b"WWW-Authenticate: a", b"Forwarded: for=a", b"X-Forwarded-For: a", b"X-Real-IP: a",
]  # fmt: skip


@pytest.mark.parametrize(("trailers", "message"), BAD_TRAILERS.values(), ids=BAD_TRAILERS.keys())
def test_trailers_refused(trailers: bytes, message: str) -> None:
    assert message in refusal(b"0\r\n" + trailers)
    assert message in refusal(b"5\r\nhello\r\n0\r\nA: b\r\n" + trailers)


@pytest.mark.parametrize("trailers", BARE_TRAILERS, ids=repr)
def test_bare_line_ends_in_trailers_are_refused(trailers: bytes) -> None:
    assert BARE in refusal(b"0\r\n" + trailers)  # without waiting for their end
    refusal(b"0\r\n" + trailers + b"\r\n\r\n")


@pytest.mark.parametrize("field", FORBIDDEN, ids=repr)
def test_forbidden_trailers(field: bytes) -> None:
    assert refusal(b"0\r\n" + field + b"\r\n\r\n") == NO_TRAILER
    assert refusal(b"0\r\nA: b\r\n" + field + b"\r\nC: d\r\n\r\n") == NO_TRAILER
    assert read(b"0\r\nX-" + field + b"\r\n\r\n")[2]


@pytest.mark.parametrize("end", [b"", b"\r\n", b"\r\n\r\n", b"\r\n\r\nGET / HTTP/1.1"])
def test_the_longest_trailers(end: bytes) -> None:
    """The limit does not depend on how the bytes arrive; it counts the line break before the trailers."""
    longest = b"X: " + b"y" * (MAX_TRAILERS - 2 - 3 - 4)
    assert read(b"0\r\n" + longest + b"\r\n\r\n")[2]
    assert read(*bytes_of(b"0\r\n" + longest + b"\r\n\r\n"))[2]
    assert refusal(b"0\r\n" + longest + b"yyyyy" + end) == "the trailers are too long"
    assert refusal(b"0\r\n" + longest + b"y\r\n\r\n") == "the trailers are too long"


def test_a_huge_chunk_needs_no_memory() -> None:
    reader = ChunkedReader()
    assert reader.feed(b"fffffffffffffff\r\n") == 17
    piece = bytes(65536)
    for _ in range(10):
        assert reader.feed(piece) == len(piece)
    assert reader.payload == 655360
    assert not reader.done
