"""A request's head: what is taken and what it means, and what is refused with which status."""

from __future__ import annotations

import pytest

from meshproxy.protocols.http1.errors import MalformedRequest
from meshproxy.protocols.http1.request import CHUNKED, RequestHead, check_beginning, parse_request
from meshproxy.protocols.http1.syntax import EARLY
from tests.unit.protocols.http1 import heads


def of(*fields: bytes, line: bytes = b"POST /path HTTP/1.1", host: bytes | None = b"example.com") -> bytes:
    """A head of `line`, Host and `fields`."""
    return heads.head(line, *(() if host is None else (b"Host: " + host,)), *fields)


def refusal(raw: bytes) -> tuple[int, str]:
    with pytest.raises(MalformedRequest) as caught:
        parse_request(raw)
    assert str(caught.value) == caught.value.message
    return caught.value.status, caught.value.message


# -- the request line --------------------------------------------------------------------

LINES = {
    "GET": b"GET / HTTP/1.1",
    "an extension method": b"M-SEARCH /a HTTP/1.1",
    "every token character": b"!#$%&'*+-.^_`|~09azAZ / HTTP/1.1",
    "a method of 32 characters": b"M" * 32 + b" / HTTP/1.1",
    "a method that begins like CONNECT": b"CONNECTED / HTTP/1.1",
    "a method in lower case": b"get / HTTP/1.1",
    "a method in lower case that is another one": b"connect / HTTP/1.1",
    "all that curl sends unescaped": b"GET /a\"<>\\^`{|}[]' HTTP/1.1",
    "a minor version to come (RFC 9110 §2.5)": b"GET / HTTP/1.9",
    "two slashes": b"GET //a//b HTTP/1.1",
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES.keys())
def test_request_lines(line: bytes) -> None:
    head = parse_request(of(line=line))
    assert (head.method, head.target) == tuple(line.split(b" ")[:2])
    assert head.minor == 1
    assert head.raw == of(line=line)


NOT_THREE = "method, target and version"
BAD_LINES = {
    "nothing": (b"", 400, "not HTTP"),
    "a space first": (b" GET / HTTP/1.1", 400, "not HTTP"),
    "no method": (b"/ HTTP/1.1", 400, "not HTTP"),
    "a method that is no token": (b"G(T / HTTP/1.1", 400, "token"),
    "a method with a byte above ASCII": (b"G\xc9T / HTTP/1.1", 400, "token"),
    "a method with NUL": (b"GET\0 / HTTP/1.1", 400, "token"),
    "a method of 33 characters": (b"M" * 33 + b" / HTTP/1.1", 400, "32"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00", 400, "not HTTP"),
    "two spaces before the target": (b"GET  / HTTP/1.1", 400, NOT_THREE),
    "two spaces before the version": (b"GET /  HTTP/1.1", 400, NOT_THREE),
    "a space at the end": (b"GET / HTTP/1.1 ", 400, NOT_THREE),
    "tabs": (b"GET\t/\tHTTP/1.1", 400, "token"),
    "a tab before the version": (b"GET /\tHTTP/1.1", 400, "percent-encoded"),
    "a space in the target": (b"GET /a b HTTP/1.1", 400, NOT_THREE),
    "a method alone": (b"GET", 400, NOT_THREE),
    "no target": (b"GET HTTP/1.1", 400, NOT_THREE),
    "a fragment": (b"GET /a#b HTTP/1.1", 400, "fragment"),
    "a byte above ASCII in the target": (b"GET /\xc3\xa9 HTTP/1.1", 400, "percent-encoded"),
    "DEL in the target": (b"GET /\x7f HTTP/1.1", 400, "percent-encoded"),
    "NUL in the target": (b"GET /\0 HTTP/1.1", 400, "percent-encoded"),
    "CR in the target": (b"GET /\rX: HTTP/1.1", 400, "bare LF or CR"),
    "LF for CRLF": (b"GET / HTTP/1.1\nA: b", 400, "bare LF or CR"),
    "CR for CRLF": (b"GET / HTTP/1.1\rA: b", 400, "bare LF or CR"),
    "two CR": (b"GET / HTTP/1.1\r", 400, "bare LF or CR"),
    "HTTP/0.9": (b"GET /", 426, "no version"),
    "HTTP/0.9 in words": (b"GET / HTTP/0.9", 505, "version"),
    "HTTP/2.0": (b"GET / HTTP/2.0", 505, "version"),
    "HTTP/2": (b"GET / HTTP/2", 505, "version"),
    "HTTP/2's preface": (b"PRI * HTTP/2.0", 505, "version"),
    "PRI in HTTP/1.1": (b"PRI /a HTTP/1.1", 505, "version"),
    "HTTP/3.0": (b"GET / HTTP/3.0", 505, "version"),
    "a version of three digits": (b"GET / HTTP/1.10", 400, NOT_THREE),
    "a version without a minor": (b"GET / HTTP/1", 400, NOT_THREE),
    "a version of two majors": (b"GET / HTTP/11.1", 400, NOT_THREE),
    "a version in lower case": (b"GET / http/1.1", 400, NOT_THREE),
    "another protocol": (b"GET / ICY/1.1", 400, NOT_THREE),
    "CONNECT": (b"CONNECT example.com:443 HTTP/1.1", 501, "CONNECT"),
    "CONNECT with a path, whose answer some frame otherwise": (b"CONNECT /a HTTP/1.1", 501, "CONNECT"),
    "CONNECT with a URL": (b"CONNECT http://a/ HTTP/1.1", 501, "CONNECT"),
    "* for GET": (b"GET * HTTP/1.1", 400, "OPTIONS"),
    "* with a query": (b"OPTIONS *?a HTTP/1.1", 400, "neither a path nor"),
    "no slash first": (b"GET a/b HTTP/1.1", 400, "neither a path nor"),
    "a query alone": (b"GET ?a HTTP/1.1", 400, "neither a path nor"),
    "a host and port": (b"GET example.com:80 HTTP/1.1", 400, "neither a path nor"),
    "another scheme": (b"GET ftp://a/ HTTP/1.1", 400, "neither a path nor"),
    "no scheme": (b"GET ://a/ HTTP/1.1", 400, "neither a path nor"),
    "one slash": (b"GET http:/a HTTP/1.1", 400, "neither a path nor"),
    "no host": (b"GET http:///a HTTP/1.1", 400, "neither a path nor"),
    "no host but a query": (b"GET http://?a HTTP/1.1", 400, "neither a path nor"),
    "no host but a port": (b"GET http://:80/a HTTP/1.1", 400, "no host name"),
    "userinfo (RFC 9110 §4.2.4)": (b"GET http://user:secret@a/ HTTP/1.1", 400, "no host name"),
    "a backslash in the host": (b"GET http://a\\@b/ HTTP/1.1", 400, "no host name"),
}  # fmt: skip


@pytest.mark.parametrize(("line", "status", "message"), BAD_LINES.values(), ids=BAD_LINES.keys())
def test_request_lines_refused(line: bytes, status: int, message: str) -> None:
    got, words = refusal(of(line=line))
    assert got == status
    assert message in words


TARGETS = {  # is_absolute, authority, host, path, query
    b"/": (False, b"Own:81", b"own", b"/", None),
    b"/a/b": (False, b"Own:81", b"own", b"/a/b", None),
    b"/a?": (False, b"Own:81", b"own", b"/a", b""),
    b"/a?b=c?d": (False, b"Own:81", b"own", b"/a", b"b=c?d"),
    b"//a": (False, b"Own:81", b"own", b"//a", None),
    b"/http://a/": (False, b"Own:81", b"own", b"/http://a/", None),
    b"http://There": (True, b"There", b"there", b"/", None),
    b"http://There?q": (True, b"There", b"there", b"/", b"q"),
    b"http://There/?": (True, b"There", b"there", b"/", b""),
    b"http://There:8080/a?b/c?d": (True, b"There:8080", b"there", b"/a", b"b/c?d"),
    b"HTTPS://There/": (True, b"There", b"there", b"/", None),
    b"http://[::1]:80/a": (True, b"[::1]:80", b"[::1]", b"/a", None),
}


@pytest.mark.parametrize("target", TARGETS)
def test_targets(target: bytes) -> None:
    head = parse_request(of(line=b"GET " + target + b" HTTP/1.1", host=b"Own:81"))
    assert (head.is_absolute, head.authority, head.host, head.path, head.query_part) == TARGETS[target]
    assert head.query == (head.query_part or b"")
    assert head.target == target


@pytest.mark.parametrize(
    ("target", "path", "host"),
    [(b"*", b"*", b"own"), (b"/", b"/", b"own"), (b"http://a", b"*", b"a"), (b"http://a/", b"/", b"a"),
     (b"http://a?q", b"/", b"a")],
)  # fmt: skip
def test_options(target: bytes, path: bytes, host: bytes) -> None:
    head = parse_request(of(line=b"OPTIONS " + target + b" HTTP/1.1", host=b"own"))
    assert (head.path, head.host) == (path, host)  # RFC 9112 §3.2.4


# -- Host --------------------------------------------------------------------------------

HOSTS = {
    b"example.com": b"example.com",
    b"EXAMPLE.com": b"example.com",
    b"example.com.": b"example.com",
    b"example.com.:80": b"example.com",
    b"example.com:": b"example.com",  # port = *DIGIT
    b"example.com:65535": b"example.com",
    b"example.com:00080": b"example.com",
    b"my_service-1.ns": b"my_service-1.ns",
    b"192.0.2.1:80": b"192.0.2.1",
    b"[::1]": b"[::1]",
    b"[2001:DB8::1]:443": b"[2001:db8::1]",
    b"[::ffff:192.0.2.1]": b"[::ffff:192.0.2.1]",
    b"example.com \t": b"example.com",
    b"\t example.com": b"example.com",
    b"a" * 253: b"a" * 253,
}


@pytest.mark.parametrize("host", HOSTS)
def test_hosts(host: bytes) -> None:
    head = parse_request(of(host=host))
    assert head.host == HOSTS[host]
    assert head.authority == host.strip(b" \t")
    absolute = parse_request(of(line=b"GET http://" + host.strip(b" \t") + b"/ HTTP/1.1", host=b"other"))
    assert absolute.host == HOSTS[host]


BAD_HOSTS = [
    b"", b" ", b":80", b".", b"..", b"a..b", b".a", b"a..", b"a b", b"a\tb", b"a,b", b"a, b", b"a;b", b"a=b", b"a'b",
    b"user@a", b"user:secret@a", b"http://a", b"a/b", b"a?b", b"a#b", b"a\\b", b"a%62", b"%", b"a%00", b"a\xe9",
    b'"a"', b"a:65536", b"a:99999", b"a:100000", b"a:-1", b"a:+1", b"a:1:2", b"a:80a", b"a::", b"::1", b"[::1", b"::1]",
    b"[]", b"[:]", b"[::1]a", b"[::1].", b"[::1]:99999", b"[::1%25eth0]", b"[v1.a]", b"[1.2.3.4]", b"[::1::2]",
    b"[12345::]", b"a[::1]", b"*", b"*.a", b"a" * 261, b"a" * 65536, b"a." * 200,
]  # fmt: skip


@pytest.mark.parametrize("host", BAD_HOSTS, ids=lambda host: repr(host[:20]))
def test_hosts_refused(host: bytes) -> None:
    status, message = refusal(of(host=host))
    assert status == 400
    assert "Host" in message


@pytest.mark.parametrize("host", [host for host in BAD_HOSTS if host.strip() == host != b""], ids=repr)
def test_hosts_refused_beside_an_absolute_target(host: bytes) -> None:
    """RFC 9112 §3.2: an invalid Host is answered with 400, also where §3.2.2 has it ignored."""
    assert refusal(of(line=b"GET http://example.com/ HTTP/1.1", host=host))[0] == 400


def test_one_host() -> None:
    assert refusal(of(host=None)) == (400, "no Host")
    assert refusal(of(host=None, line=b"GET http://a/ HTTP/1.1")) == (400, "no Host")
    for second in (b"Host: example.com", b"HOST: example.com", b"hosT:other", b"Host:"):
        assert refusal(of(second)) == (400, "more than one Host")
        assert refusal(of(second, line=b"GET / HTTP/1.0")) == (400, "more than one Host")
    assert refusal(of(b"HOST: a", b"hOST: a", host=None)) == (400, "more than one Host")
    assert parse_request(of(b"HoSt: a", host=None)).host == b"a"
    assert parse_request(of(b"X-Host: a", b"Hosts: b")).host == b"example.com"
    assert parse_request(of(host=None, line=b"GET / HTTP/1.0")).host == b""
    assert parse_request(of(host=None, line=b"GET http://a/ HTTP/1.0")).host == b"a"
    assert refusal(of(host=b"", line=b"GET / HTTP/1.0"))[0] == 400


def test_a_refused_host_is_not_kept() -> None:
    """Or a client could fill memory with long names: what is kept is at most 1,024 short ones."""
    from meshproxy.protocols.http1 import request

    before = request._host_of.cache_info().currsize
    for number in range(10):
        refusal(of(host=b"a..%d" % number))
    assert request._host_of.cache_info().currsize == before


# -- the shape of fields -----------------------------------------------------------------

FIELDS = {
    "no space after the colon": (b"X:a", b"a"),
    "white space around": (b"X: \t a \t ", b"a"),
    "white space inside": (b"X: a \t b", b"a \t b"),
    "an empty value": (b"X:", b""),
    "white space only": (b"X: \t ", b""),
    "latin-1": (b"X: \x80\xe9\xff", b"\x80\xe9\xff"),
    "colons": (b"X: a:b: c", b"a:b: c"),
    "another case": (b"x: a", b"a"),
}


@pytest.mark.parametrize(("line", "value"), FIELDS.values(), ids=FIELDS.keys())
def test_fields(line: bytes, value: bytes) -> None:
    assert parse_request(of(line)).header(b"x") == value


def test_several_values_are_joined() -> None:
    head = parse_request(of(b"X: a", b"Cookie: c=1", b"x:b ", b"XX: no", b"X:", b"cookie: d=2"))
    assert head.header(b"x") == b"a, b, "
    assert head.header(b"cookie") == b"c=1; d=2"
    assert head.header(b"none") is None


NAME = "name is not a token"
BAD_FIELDS = {
    "a space before the colon": (b"X : a", NAME),
    "a tab before the colon": (b"X\t: a", NAME),
    "no name": (b": a", NAME),
    "no colon": (b"X", NAME),
    "a name in parts": (b"X Y: a", NAME),
    "a name above ASCII": (b"X\xe9: a", NAME),
    "a name with NUL": (b"X\0: a", NAME),
    "a name in brackets": (b"[X]: a", NAME),
    "a folded line": (b"X: a\r\n b", "folded"),
    "a folded line, by a tab": (b"X: a\r\n\tb", "folded"),
    "a folded line of white space": (b"X: a\r\n ", "folded"),
    "a space first": (b" X: a", "folded"),
    "NUL": (b"X: a\0b", "control"),
    "vertical tab": (b"X: a\x0bb", "control"),
    "form feed": (b"X: a\x0c", "control"),
    "DEL": (b"X: a\x7f", "control"),
    "escape": (b"X: \x1b[2J", "control"),
    "bare LF": (b"X: a\nY: b", "bare LF or CR"),
    "bare LF at the end": (b"X: a\n", "bare LF or CR"),
    "bare CR": (b"X: a\rY: b", "bare LF or CR"),
    "bare CR at the end": (b"X: a\r", "bare LF or CR"),
    "LF CR": (b"X: a\n\rY: b", "bare LF or CR"),
    "an empty line": (b"X: a\r\n\r\nY: b", "malformed"),
}


@pytest.mark.parametrize(("field", "message"), BAD_FIELDS.values(), ids=BAD_FIELDS.keys())
@pytest.mark.parametrize("after", [(), (b"Y: c",)], ids=["last", "not last"])
def test_fields_refused(field: bytes, message: str, after: tuple[bytes, ...]) -> None:
    status, words = refusal(of(field, *after))
    assert status == 400
    assert message in words


@pytest.mark.parametrize("raw", [b"", b"\r\n", b"\r\n\r\n", of()[:-2], of() + b"\r\n", b"\r\n" + of(), of() + of()])
def test_a_head_and_nothing_else(raw: bytes) -> None:
    """Empty lines before the request line (RFC 9112 §2.2) are the caller's, and so is what follows."""
    assert refusal(raw)[0] == 400


# -- where the first byte cannot be a request's ---------------------------------------------

AT_ONCE = {
    "TLS": (b"\x16", 400),
    "HTTP/2": (b"PRI ", 505),
    "a space": (b" ", 400),
    "bare LF": (b"GET / HTTP/1.1\n", 400),
    "bare CR": (b"GET / HTTP/1.1\rA", 400),
    "a long method": (b"M" * 33, 400),
    "a method of 32 bytes and no space": (b"M" * 32 + b"/", 400),
    "CONNECT": (b"CONNECT ", 501),
    "a fragment": (b"GET /a#", 400),
    "a version": (b"GET / HTTP/2", 505),
    "no version": (b"GET /\r", 426),
    "no protocol": (b"GET / X", 400),
    "the end of the request line": (b"GET / HTTP/1.1 ", 400),
    "an obs-fold": (b"GET / HTTP/1.1\r\nA: b\r\n ", 400),
    "a space before the colon": (b"GET / HTTP/1.1\r\nA ", 400),
    "an empty name": (b"GET / HTTP/1.1\r\n:", 400),
    "NUL": (b"GET / HTTP/1.1\r\nA: \0", 400),
    "a bare CR in a value": (b"GET / HTTP/1.1\r\nA: \rb", 400),
    "a bad line before the last": (b"GET / HTTP/1.1\r\nA\r\nB: c", 400),
}


@pytest.mark.parametrize(("data", "status"), AT_ONCE.values(), ids=AT_ONCE.keys())
def test_refused_at_once(data: bytes, status: int) -> None:
    for end in range(len(data)):
        check_beginning(data[:end])  # the last byte is what is wrong
        if data.endswith(b"B: c"):
            break
    with pytest.raises(MalformedRequest) as caught:
        check_beginning(data)
    assert caught.value.status == status


def test_a_beginning_is_not_refused() -> None:
    raw = of(b"Content-Length: 5", b"X:", b"Y: \xff\t")
    for end in range(len(raw)):
        check_beginning(raw[:end])


def test_a_head_is_what_routes_match_on() -> None:
    from meshproxy.routing.api import Request

    head: Request = parse_request(of(b"X: 1"))
    assert isinstance(head, RequestHead)
    assert (head.host, head.path, head.query, head.method, head.header(b"x")) == (
        b"example.com", b"/path", b"", b"POST", b"1",
    )  # fmt: skip
    assert CHUNKED < 0


def test_only_so_much_is_looked_at_early() -> None:
    """Else a head of 64 KiB that arrives a byte at a time would be read 65,536 times."""
    long = b"GET / HTTP/1.1\r\nX: " + b"x" * EARLY
    check_beginning(long + b"\0")
    assert refusal(long + b"\0\r\n\r\n")[0] == 400
    with pytest.raises(MalformedRequest, match="control character"):
        check_beginning(long[: EARLY - 1] + b"\0" + long)
