"""Messages from clients: a question, or the refusal that they deserve, and never an exception."""

from __future__ import annotations

import struct

import dns.edns
import dns.message
import dns.rcode
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from meshproxy.dns.query import Query, Refusal, read_query
from tests.support.dns import make_wire

QUESTION = b"\3web\0\0\1\0\1"


def header(flags: int = 0x0100, *counts: int) -> bytes:
    return struct.pack("!HHHHHH", 7, flags, *(*counts, *(1, 0, 0, 0)[len(counts) :]))


def test_a_question() -> None:
    query = read_query(make_wire("Web.Default.svc", "SRV"), tcp=False)
    assert isinstance(query, Query)
    assert query.labels == ("web", "default", "svc")
    assert query.type == "SRV"
    assert query.wire_name == b"\3Web\7Default\3svc\0"
    assert query.recursion_desired
    assert query.plain


@pytest.mark.parametrize(
    ("edns", "payload", "tcp", "limit"),
    [
        (-1, 0, False, 512),
        (0, 100, False, 512),
        (0, 800, False, 800),
        (0, 4096, False, 1232),
        (0, 800, True, 65535),
    ],
)
def test_how_large_an_answer_may_be(edns: int, payload: int, tcp: bool, limit: int) -> None:
    query = read_query(make_wire("web", edns=edns, payload=payload), tcp=tcp)
    assert isinstance(query, Query)
    assert query.limit == limit


def test_a_question_with_options_does_not_come_again() -> None:
    cookie = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")
    wire = dns.message.make_query("web", "A", use_edns=0, options=[cookie]).to_wire()
    query = read_query(wire, tcp=False)
    assert isinstance(query, Query)
    assert not query.plain


@pytest.mark.parametrize(
    ("wire", "rcode"),
    [
        (header(0x0100, 2) + QUESTION + QUESTION, "FORMERR"),
        (header(0x0100, 0), "FORMERR"),
        (header(0x0100, 65535) + QUESTION, "FORMERR"),
        (header() + QUESTION[:-1], "FORMERR"),
        (header() + QUESTION + b"junk", "FORMERR"),
        (header() + b"\xc0\x0c\0\1\0\1", "FORMERR"),  # a pointer to itself
        (header() + b"\3web\xc0\x0c\0\1\0\1", "FORMERR"),
        (header() + b"\x40web\0\0\1\0\1", "FORMERR"),  # a label of a reserved kind
        (header(0x0100, 1, 1) + QUESTION + b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4\1\2\3\4", "FORMERR"),
        (header(0x0100, 1, 0, 0, 2) + QUESTION + 2 * (b"\0\0\x29" + bytes(8)), "FORMERR"),
        (header(0x1000) + QUESTION, "NOTIMP"),  # STATUS
        (header(0x2800) + QUESTION, "NOTIMP"),  # UPDATE
        (header(0x7800), "NOTIMP"),
        (header() + b"\3web\0\0\xfc\0\1", "REFUSED"),  # AXFR
        (header() + b"\3web\0\0\1\0\3", "REFUSED"),  # CHAOS
        (header(0x0100, 1, 0, 0, 1) + QUESTION + b"\0\0\x29\x04\xd0\0\1\0\0\0\0", "BADVERS"),  # EDNS 1
    ],
)
def test_refusals(wire: bytes, rcode: str) -> None:
    refusal = read_query(wire, tcp=False)
    assert isinstance(refusal, Refusal)
    assert refusal.rcode == rcode
    assert refusal.reply is not None
    reply = dns.message.from_wire(refusal.reply)
    assert dns.rcode.to_text(reply.rcode()) == rcode
    assert reply.id == int.from_bytes(wire[:2], "big")
    assert refusal.reply[2] & 0xF8 == 0x80 | wire[2] & 0x78


def test_the_answer_to_a_later_version_of_edns_tells_ours() -> None:
    refusal = read_query(make_wire("web", edns=1), tcp=False)
    assert isinstance(refusal, Refusal)
    assert refusal.reply is not None
    assert dns.message.from_wire(refusal.reply).edns == 0


@pytest.mark.parametrize("wire", [b"", b"short", header()[:11], header(0x8100) + QUESTION])
def test_silence(wire: bytes) -> None:
    refusal = read_query(wire, tcp=False)
    assert isinstance(refusal, Refusal)
    assert refusal.reply is None


SEEDS = (
    make_wire("_http._tcp.web.default.svc.cluster.local", "SRV", edns=0),
    make_wire("web", "A"),
    make_wire("10.0.96.127.in-addr.arpa", "PTR", edns=1),
)
damaged = st.builds(
    lambda seed, changes, cut, tail: (
        bytes(changes.get(index, byte) for index, byte in enumerate(seed))[: cut or None] + tail
    ),
    st.sampled_from(SEEDS),
    st.dictionaries(st.integers(0, 80), st.integers(0, 255), max_size=6),
    st.integers(0, 80),
    st.binary(max_size=20),
)


@settings(max_examples=400)
@given(wire=st.binary(max_size=300) | damaged, tcp=st.booleans())
@example(wire=header() + b"\x3f" + bytes(63) + b"\0\0\1\0\1", tcp=False)
def test_any_bytes_give_a_question_or_a_refusal(wire: bytes, tcp: bool) -> None:
    found = read_query(wire, tcp=tcp)
    if isinstance(found, Refusal):
        if found.reply is not None:
            assert dns.message.from_wire(found.reply).id == int.from_bytes(wire[:2], "big")
    else:
        assert found.message.id == int.from_bytes(wire[:2], "big")
        assert len(found.labels) <= 127
