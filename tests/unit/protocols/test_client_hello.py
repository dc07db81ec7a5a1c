"""ClientHellos: real ones, cut ones, and any bytes at all."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.base.errors import ProtocolError
from meshproxy.protocols.tls import client_hello
from meshproxy.protocols.tls.client_hello import (
    MAX_HELLO,
    ClientHello,
    ClientHelloReader,
    looks_like_tls,
    parse_client_hello,
)


def real(name: str | None = "Web.example.com", protocols: tuple[str, ...] = ("h2", "http/1.1")) -> bytes:
    """What OpenSSL says first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if protocols:
        context.set_alpn_protocols(list(protocols))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def in_records(message: bytes, size: int) -> bytes:
    """A handshake message in records of `size` bytes."""
    pieces = [message[start : start + size] for start in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces)


@pytest.mark.parametrize(
    ("name", "protocols", "expected"),
    [
        ("Web.example.com", ("h2", "http/1.1"), ClientHello("web.example.com", (b"h2", b"http/1.1"))),
        (None, (), ClientHello()),
        (
            "outbound_.8080_._.web.ns.svc.cluster.local",
            ("http/1.1",),
            ClientHello("outbound_.8080_._.web.ns.svc.cluster.local", (b"http/1.1",)),
        ),
    ],
)
def test_what_it_says(name: str | None, protocols: tuple[str, ...], expected: ClientHello) -> None:
    assert parse_client_hello(real(name, protocols)) == expected


def test_byte_by_byte_it_is_not_complete_until_its_last() -> None:
    hello = real()
    assert all(parse_client_hello(hello[:size]) is None for size in range(len(hello)))
    assert parse_client_hello(hello + b"more") == parse_client_hello(hello)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_it_may_come_in_many_records(size: int) -> None:
    hello = real()
    assert parse_client_hello(in_records(hello[5:], size)) == parse_client_hello(hello)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x02\x00",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff",
        b"\x16\x03\x01\x00\x01\x02",
        in_records(b"\x01\xff\xff\xff", 4),
        in_records(b"\x01\x00\x00\x00", 4),
        in_records(b"\x01\x00\x00\x04\x03\x03\x00\x00", 8),
    ],
)
def test_what_cannot_become_one(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_client_hello(data)


def test_an_extension_twice_is_refused() -> None:
    body = bytes(34) + b"\x00" + b"\x00\x02\x13\x01" + b"\x01\x00" + b"\x00\x08" + b"\x00\x17\x00\x00" * 2
    with pytest.raises(ProtocolError, match="twice"):
        parse_client_hello(in_records(b"\x01" + len(body).to_bytes(3, "big") + body, 1000))


def test_in_pieces_each_record_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends tiny records a byte at a time costs no more than others: it is no way to keep a worker busy."""
    looks: list[bytes] = []

    def look(data: bytes) -> bool:
        looks.append(data)
        return True

    monkeypatch.setattr(client_hello, "looks_like_tls", look)
    hello = in_records(real()[5:], 1)
    reader = ClientHelloReader()
    found = [reader.feed(hello[at : at + 1]) for at in range(len(hello))]
    assert (set(found[:-1]), found[-1]) == ({None}, parse_client_hello(hello))
    assert reader.data == hello
    assert len(looks) < 2 * len(hello)


def test_it_does_not_grow_for_ever() -> None:
    endless = in_records(b"\x01" + (MAX_HELLO - 4).to_bytes(3, "big") + bytes(MAX_HELLO - 5), 1)
    with pytest.raises(ProtocolError, match="more than"):
        parse_client_hello(endless)


@pytest.mark.parametrize(
    ("data", "expected"), [(b"", None), (b"\x16", True), (b"\x16\x03", True), (b"\x16\x02", False), (b"GET", False)]
)
def test_a_first_look(data: bytes, expected: bool | None) -> None:
    assert looks_like_tls(data) is expected


@given(st.binary(max_size=200), st.integers(0, 300))
def test_any_bytes_give_a_hello_or_an_error(noise: bytes, at: int) -> None:
    hello = real()
    damaged = hello[:at] + noise + hello[at + len(noise) :]
    for data in (noise, damaged):
        try:
            found = parse_client_hello(data)
        except ProtocolError:
            continue
        assert found is None or found.server_name.isascii()
