"""Requests, responses and chunked bodies for hypothesis: nearly valid ones, with what servers have fallen for."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.unit.protocols.http1.heads import head

METHODS = [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"M-SEARCH"]
TARGETS = [b"/"] * 12 + [
    b"/a/b?c=d",
    b"//a",
    b"*",
    b"http://a",
    b"http://b:80/c?d",
    b'/"<>\\^`{|}',
    b"/a#b",
    b"a",
    b"/\xe9",
]
VERSIONS = [b"HTTP/1.1"] * 16 + [b"HTTP/1.0"] * 4 + [b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b""]
STATUSES = [b"200 OK", b"200 OK", b"404 Not Found", b"200", b"200 ", b"500 \xe9", b"204 No", b"304 Not", b"103 Early",
            b"999 x", b"99 x", b"1000 x", b"20x x"]  # fmt: skip
FRAMING = [
    b"Content-Length: 0", b"Content-Length: 5", b"Content-Length: 5", b"content-length:7", b"Content-Length: 05",
    b"Content-Length: +5", b"Content-Length: 5,5", b"Content-Length: 0x5", b"Content-Length: -1", b"Content-Length:",
    b"Content-Length: 5 5", b"Content-Length : 5", b"Content-Length: 5\t", b"Content-Length: 99999999999999999999",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", b"TRANSFER-ENCODING:\tCHUNKED ",
    b"Transfer-Encoding: xchunked", b"Transfer-Encoding : chunked", b"Transfer-Encoding:\r\n chunked",
    b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked\x0b",
    b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked;a", b"Transfer-Encoding: chunked,",
]  # fmt: skip
OTHERS = [
    b"Connection: close", b"Connection: keep-alive", b"connection: Close, x", b"Connection: KEEP-ALIVE \t",
    b"Connection: upgrade", b"Upgrade: x", b"Connection: Upgrade, x", b"Expect: 100-continue", b"Accept: */*", b"X:",
    b"X: \t a  b \t", b"Y:\xe9\xff", b"Z: a\0", b"Z : a", b": a", b"Z", b" Z: a", b"Z: a\nB: c", b"Z: a\rB: c",
    b"!#$%&'*+-.^_`|~: token", b"Keep-Alive: timeout=5", b"Proxy-Connection: close",
]  # fmt: skip
HOSTS = [b"Host: a"] * 24 + [b"host:B:80 ", b"HOST: [::1]:80", b"Host: a..b", b"Host:", b"Host : a"]


def noise(text: bytes) -> st.SearchStrategy[bytes]:
    """`text` with one to three small changes."""
    change = st.tuples(st.integers(0, len(text)), st.integers(0, 2), st.sampled_from(list(ODD)) | st.binary(max_size=2))
    return st.lists(change, min_size=1, max_size=3).map(lambda changes: _changed(text, changes))


ODD = [
    b"\n",
    b"\r",
    b"\r\n",
    b"\r\n\r\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b";",
    b",",
    b'"',
    b"\\",
    b"\x80",
    b"\x7f",
    b"0",
    b"-",
]


def _changed(text: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for at, removed, added in changes:
        text = text[:at] + added + text[at + removed :]
    return text


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request's head."""
    line = b" ".join(draw(st.sampled_from(each)) for each in (METHODS, TARGETS, VERSIONS))
    fields = [draw(st.sampled_from(HOSTS)), *draw(_fields())]
    return head(line, *draw(st.permutations(fields)))


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    """A response's head."""
    line = draw(st.sampled_from(VERSIONS)) + b" " + draw(st.sampled_from(STATUSES))
    return head(line, *draw(_fields()))


@st.composite
def _fields(draw: st.DrawFn) -> list[bytes]:
    framing = draw(st.lists(st.sampled_from(FRAMING), max_size=2))
    good = draw(st.lists(st.sampled_from(OTHERS[:13]), max_size=3))
    return draw(st.permutations([*framing, *good, *draw(st.lists(st.sampled_from(OTHERS), max_size=1))]))


EXTENSIONS = [
    b"",
    b"",
    b"",
    b";a",
    b";a=b",
    b';a="b c"',
    b';a="\\""',
    b" ; a",
    b";",
    b";a=",
    b' ;a="b',
    b";a;b=c",
    b" ",
]
SIZES = [b"%x", b"%x", b"%x", b"%X", b"0%x", b"0x%x", b"+%x", b" %x", b"%x ", b"-%x"]
TRAILERS = [
    b"",
    b"",
    b"",
    b"X: y\r\n",
    b"X:\r\nY: z\r\n",
    b"X : y\r\n",
    b"Content-Length: 5\r\n",
    b" X: y\r\n",
    b"X: y\n",
]


@st.composite
def chunked_bodies(draw: st.DrawFn) -> bytes:
    """A chunked body."""
    parts = []
    for data in draw(st.lists(st.binary(min_size=1, max_size=20), max_size=3)):
        size = draw(st.sampled_from(SIZES)) % len(data)
        ends = [draw(st.sampled_from([b"\r\n"] * 15 + [b"\n"])) for _ in range(2)]
        parts += [size, draw(st.sampled_from(EXTENSIONS)), ends[0], data, ends[1]]
    return (
        b"".join(parts) + b"0" + draw(st.sampled_from(EXTENSIONS)) + b"\r\n" + draw(st.sampled_from(TRAILERS)) + b"\r\n"
    )
