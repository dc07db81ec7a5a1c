"""Where a request ends and whether another may follow: lengths, codings, Connection, Upgrade, Expect.

The shapes of request smuggling (CL.TE, TE.CL, TE.TE, CL.0) are here: each is refused, whoever would read it how.
"""

from __future__ import annotations

import pytest

from meshproxy.protocols.http1.errors import MalformedRequest
from meshproxy.protocols.http1.request import CHUNKED, RequestHead, parse_request
from tests.unit.protocols.http1 import heads


def parsed(*fields: bytes, minor: int = 1) -> RequestHead:
    return parse_request(heads.head(b"POST / HTTP/1.%d" % minor, b"Host: a", *fields))


def refusal(*fields: bytes, minor: int = 1) -> tuple[int, str]:
    with pytest.raises(MalformedRequest) as caught:
        parsed(*fields, minor=minor)
    return caught.value.status, caught.value.message


# -- lengths and codings -----------------------------------------------------------------

LENGTHS = {
    "none": ((), 0),
    "0": ((b"Content-Length: 0",), 0),
    "5": ((b"Content-Length: 5",), 5),
    "no space": ((b"Content-Length:5",), 5),
    "white space": ((b"Content-Length: \t5 \t",), 5),
    "another case": ((b"cONTENT-lENGTH: 5",), 5),
    "leading zeros (1*DIGIT)": ((b"Content-Length: 0005",), 5),
    "18 digits": ((b"Content-Length: " + b"9" * 18,), 10**18 - 1),
    "chunked": ((b"Transfer-Encoding: chunked",), CHUNKED),
    "Chunked": ((b"transfer-encoding:CHUNKED \t",), CHUNKED),
    "what only looks alike": ((b"X-Content-Length: 5", b"Content-Lengths: 6", b"Transfer-Encodings: chunked"), 0),
}


@pytest.mark.parametrize(("fields", "length"), LENGTHS.values(), ids=LENGTHS.keys())
def test_lengths(fields: tuple[bytes, ...], length: int) -> None:
    head = parsed(*fields)
    assert head.length == length
    assert head.keep_alive


BAD_LENGTHS = [
    b"", b"+5", b"-5", b"-0", b"0x5", b"5,5", b"5, 5", b"5,6", b"5 5", b"5;", b"5.0", b"5e1", b"five", b"1_0", b"5 \t,",
    b",5", b'"5"', b"\xb2", b"\xd9\xa5", b"NaN", b"chunked",
]  # fmt: skip


@pytest.mark.parametrize("value", BAD_LENGTHS, ids=repr)
def test_lengths_refused(value: bytes) -> None:
    assert refusal(b"Content-Length: " + value) == (400, "the Content-Length is not a number")


@pytest.mark.parametrize("digits", [19, 20, 100, 5000])
def test_huge_lengths_are_too_large(digits: int) -> None:
    """Also beyond what `int` would convert; RFC 9110 §8.6 warns of overflows."""
    assert refusal(b"Content-Length: " + b"1" * digits) == (413, "the Content-Length has more than 18 digits")


@pytest.mark.parametrize("second", [b"5", b"6", b"", b"0"])
def test_repeated_lengths_are_refused(second: bytes) -> None:
    """RFC 9112 §6.3 would let equal ones pass."""
    assert refusal(b"Content-Length: 5", b"content-length: " + second) == (400, "more than one Content-Length")


@pytest.mark.parametrize("coding", [b"chunked", b"gzip", b"identity", b"xchunked", b""])
@pytest.mark.parametrize("length", [b"0", b"5", b"x"])
def test_a_length_beside_a_coding_is_refused(length: bytes, coding: bytes) -> None:
    """CL.TE and TE.CL."""
    fields = (b"Content-Length: " + length, b"Transfer-Encoding: " + coding)
    assert refusal(*fields) == refusal(*fields[::-1]) == (400, "Content-Length beside Transfer-Encoding")


BAD_CODINGS = [
    b"", b"xchunked", b"chunkedx", b"x chunked", b"chunked x", b"chunked;a=b", b"chunked;", b'"chunked"', b"chunked,",
    b",chunked", b"chunked, chunked", b"chunked, identity", b"chunked,gzip", b"gzip", b"identity", b"\xffchunked",
    b"chunked\xa0", b"chun\tked", b"c h u n k e d", b"'chunked'", b"chunked\x85", b"[chunked]",
    b"chunked, gzip, chunked", b"\xef\xbb\xbfchunked", b"cow", b"CHUN\xd5ED", b"chun\xe2\x84\xaaed",
]  # fmt: skip


@pytest.mark.parametrize("value", BAD_CODINGS, ids=repr)
def test_codings_refused(value: bytes) -> None:
    """TE.TE: what one reader takes for chunked and the next does not."""
    assert refusal(b"Transfer-Encoding: " + value) == (400, "the Transfer-Encoding is not just chunked")


@pytest.mark.parametrize(
    "value", [b"gzip, chunked", b"identity,chunked", b"a;b=c , Chunked", b"gzip,\tdeflate,chunked"]
)
def test_codings_before_chunked_are_not_implemented(value: bytes) -> None:
    assert refusal(b"Transfer-Encoding: " + value) == (501, "the Transfer-Encoding is not just chunked")
    first, _, rest = value.partition(b",")
    assert refusal(b"Transfer-Encoding: " + first, b"Transfer-Encoding: " + rest)[0] == 501


@pytest.mark.parametrize(
    "second", [b"chunked", b"identity", b"x", b""], ids=["chunked", "identity", "unknown", "nothing"]
)
def test_repeated_codings_are_refused(second: bytes) -> None:
    assert refusal(b"Transfer-Encoding: chunked", b"Transfer-encoding: " + second)[0] == 400


OBFUSCATED = [
    b"Transfer-Encoding : chunked", b"Transfer-Encoding\t: chunked", b" Transfer-Encoding: chunked",
    b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding:\n chunked", b"Transfer-Encoding: chunked\x0b",
    b"Transfer-Encoding: \x0bchunked", b"Transfer-Encoding:\x0cchunked", b"Transfer-Encoding: chunked\0",
    b"Transfer-Encoding\0: chunked", b"Transfer-Encoding: chunked\rX: y", b"X: y\nTransfer-Encoding: chunked",
    b"X: y\rTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r", b"Transfer-Encoding\x85: chunked",
    b"\x00Transfer-Encoding: chunked", b"Transfer Encoding: chunked", b"Transfer-Encoding chunked", b"X: y\r\r\nTE: z",
    b"Transfer\r-Encoding: chunked", b"Content-Length : 5", b"Content-Length\xa0: 5", b"X: y\r\n\tContent-Length: 5",
]  # fmt: skip


@pytest.mark.parametrize("field", OBFUSCATED, ids=repr)
@pytest.mark.parametrize("others", [(), (b"Content-Length: 5",)], ids=["alone", "beside a length"])
def test_obfuscated_fields_are_refused(field: bytes, others: tuple[bytes, ...]) -> None:
    assert refusal(field, *others)[0] == 400
    assert refusal(*others, field)[0] == 400


def test_version_1_0() -> None:
    assert parsed(b"Content-Length: 5", minor=0).length == 5
    assert refusal(b"Transfer-Encoding: chunked", minor=0) == (400, "Transfer-Encoding in HTTP/1.0")
    assert refusal(b"Content-Length: 5", b"Content-Length: 5", minor=0)[0] == 400


# -- Connection --------------------------------------------------------------------------

CONNECTIONS = {  # HTTP/1.1 keeps, HTTP/1.0 keeps, fields that are named
    (): (True, False, ()),
    (b"keep-alive",): (True, True, ()),
    (b"Keep-Alive",): (True, True, ()),
    (b"keep-alive \t",): (True, True, ()),
    (b"close",): (False, False, ()),
    (b"CLOSE",): (False, False, ()),
    (b"close, keep-alive",): (False, False, ()),
    (b"keep-alive", b"close"): (False, False, ()),
    (b"close", b"keep-alive"): (False, False, ()),
    (b"keep-alive", b"keep-alive"): (True, True, ()),
    (b"", b""): (True, False, ()),
    (b" , ,\tclose,",): (False, False, ()),
    (b"X-Mine",): (True, False, (b"x-mine",)),
    (b"x-mine, keep-alive", b"Other"): (True, True, (b"x-mine", b"other")),
    (b"closed, xkeep-alive",): (True, False, (b"closed", b"xkeep-alive")),
    (b"TE, HTTP2-Settings, upgrade",): (True, False, ()),
}


@pytest.mark.parametrize("values", CONNECTIONS, ids=repr)
def test_connection(values: tuple[bytes, ...]) -> None:
    keeps, keeps_1_0, nominated = CONNECTIONS[values]
    fields = [b"Connection: " + value for value in values]
    head, old = parsed(*fields), parsed(*fields, minor=0)
    assert (head.keep_alive, old.keep_alive) == (keeps, keeps_1_0)
    assert head.nominated == old.nominated == nominated
    assert head.hop_by_hop == old.hop_by_hop == bool(values)


@pytest.mark.parametrize(
    "name", [b"Host", b"content-length", b"Transfer-Encoding", b"Content-Type", b"Cookie", b"authorization"]
)
def test_connection_does_not_take_out_what_all_need(name: bytes) -> None:
    """Else the next hop would frame or route the request in another way."""
    for value in (name, b"close, " + name):
        assert refusal(b"Connection: " + value) == (400, "Connection names a field that is meant for the whole way")


@pytest.mark.parametrize("value", [b"a b", b"a;b", b'"close"', b"close;", b"\xe9", b"a:b"])
def test_connection_holds_tokens(value: bytes) -> None:
    assert refusal(b"Connection: " + value) == (400, "Connection is not a list of tokens")


@pytest.mark.parametrize(
    "field",
    [b"Keep-Alive: timeout=5", b"Proxy-Connection: close", b"TE: trailers", b"Upgrade: x", b"HTTP2-Settings: a"],
)
def test_fields_of_one_hop(field: bytes) -> None:
    head = parsed(field)
    assert head.hop_by_hop
    assert head.keep_alive
    assert head.upgrade is None
    assert not parsed(b"Accept: a").hop_by_hop


# -- Upgrade and Expect ------------------------------------------------------------------

UPGRADES: dict[str, tuple[tuple[bytes, ...], bytes | None]] = {
    "asked for": ((b"Connection: Upgrade", b"Upgrade: websocket"), b"websocket"),
    "in any order and case": ((b"UPGRADE: websocket", b"connection: keep-alive, UPGRADE"), b"websocket"),
    "several": ((b"Connection: upgrade", b"Upgrade: a/1", b"Upgrade: b"), b"a/1, b"),
    "an empty body": ((b"Connection: upgrade", b"Upgrade: a", b"Content-Length: 0"), b"a"),
    "not named by Connection": ((b"Upgrade: websocket",), None),
    "nothing to upgrade to": ((b"Connection: upgrade",), None),
    "a body": ((b"Connection: upgrade", b"Upgrade: a", b"Content-Length: 5"), None),
    "a chunked body": ((b"Connection: upgrade", b"Upgrade: a", b"Transfer-Encoding: chunked"), None),
}


@pytest.mark.parametrize(("fields", "upgrade"), UPGRADES.values(), ids=UPGRADES.keys())
def test_upgrade(fields: tuple[bytes, ...], upgrade: bytes | None) -> None:
    head = parsed(*fields)
    assert head.upgrade == upgrade
    assert head.hop_by_hop
    old = [field for field in fields if not field.startswith(b"Transfer")]
    assert parsed(*old, minor=0).upgrade is None  # RFC 9110 §7.8: ignored in HTTP/1.0


def test_expect() -> None:
    assert not parsed().expects_continue
    assert parsed(b"Expect: 100-continue").expects_continue
    assert parsed(b"EXPECT: 100-Continue ", b"expect:100-continue").expects_continue
    assert not parsed(b"Expect: 100-continue", minor=0).expects_continue  # RFC 9110 §10.1.1
    for value in (b"", b"100", b"200-ok", b"100-continue, x", b"100-continue=1"):
        assert refusal(b"Expect: " + value) == (417, "the expectation is not 100-continue")


def test_what_other_proxies_saw() -> None:
    assert parsed(b"X-Forwarded: a").forwarding is None
    head = parsed(b"x-forwarded-FOR: 1.2.3.4 ", b"Content-Length: 1", b"Forwarded:for=a", b"X-Request-Id: 7")
    assert head.forwarding == [(b"x-forwarded-for", b"1.2.3.4"), (b"forwarded", b"for=a"), (b"x-request-id", b"7")]
    assert head.length == 1
