"""PROXY protocol: a table, a byte at a time, round trips, and any bytes at all."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.errors import ProtocolError
from meshproxy.protocols import proxy_protocol
from meshproxy.protocols.crc32c import crc32c
from meshproxy.protocols.proxy_protocol import MAX_HEADER, MAX_V1, SIGNATURE, Header, parse

PAYLOAD = b"GET / HTTP/1.1\r\n"
V4 = SocketAddress("192.0.2.7", 56324), SocketAddress("198.51.100.8", 443)
V6 = SocketAddress("2001:db8::7", 56324), SocketAddress("2001:db8::8", 443)


def v2(command: int, family: int, body: bytes, length: int | None = None) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(body) if length is None else length) + body


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


V4_BODY = bytes([192, 0, 2, 7, 198, 51, 100, 8]) + struct.pack("!HH", 56324, 443)
V6_BODY = IPv6Address("2001:db8::7").packed + IPv6Address("2001:db8::8").packed + struct.pack("!HH", 56324, 443)


def with_checksum(*tlvs: bytes) -> bytes:
    """A header whose last TLV is its CRC-32C."""
    body = V4_BODY + b"".join(tlvs)
    blank = v2(0x21, 0x11, body + tlv(0x03, bytes(4)))
    return v2(0x21, 0x11, body + tlv(0x03, struct.pack("!I", crc32c(blank))))


ADDRESSES = {
    "v1 IPv4": (b"PROXY TCP4 192.0.2.7 198.51.100.8 56324 443\r\n", V4),
    "v1 IPv6": (b"PROXY TCP6 2001:db8::7 2001:DB8:0:0:0:0:0:8 56324 443\r\n", V6),
    "v1 lowest": (b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", (SocketAddress("0.0.0.0", 0),) * 2),
    "v1 highest": (
        b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
        (SocketAddress("255.255.255.255", 65535),) * 2,
    ),
    "v2 TCP over IPv4": (v2(0x21, 0x11, V4_BODY), V4),
    "v2 UDP over IPv4": (v2(0x21, 0x12, V4_BODY), V4),
    "v2 TCP over IPv6": (v2(0x21, 0x21, V6_BODY), V6),
    "v2 UDP over IPv6": (v2(0x21, 0x22, V6_BODY), V6),
    "v2 with TLVs": (v2(0x21, 0x11, V4_BODY + tlv(0x02, b"example.com") + tlv(0x04, b"")), V4),
    "v2 with a checksum": (with_checksum(tlv(0x05, b"unique")), V4),
    "v2 as long as may be": (v2(0x21, 0x11, V4_BODY + tlv(0xEA, bytes(MAX_HEADER - 16 - 12 - 3))), V4),
}
NO_ADDRESSES = {
    "v1 UNKNOWN": b"PROXY UNKNOWN\r\n",
    "v1 UNKNOWN with more": b"PROXY UNKNOWN ffff::1 whatever 1\r\n",
    "v1 UNKNOWN, longest": b"PROXY UNKNOWN " + b"x" * (MAX_V1 - 16) + b"\r\n",
    "v2 LOCAL": v2(0x20, 0x00, b""),
    "v2 LOCAL with a block to discard": v2(0x20, 0x11, b"abc"),
    "v2 LOCAL, family ignored": v2(0x20, 0xFF, b""),
    "v2 UNSPEC": v2(0x21, 0x00, b"abc"),
    "v2 IPv4 over an unknown transport": v2(0x21, 0x10, V4_BODY),
    "v2 AF_UNIX": v2(0x21, 0x31, bytes(216)),
}
MALFORMED = {
    "another protocol": b"GET / HTTP/1.1\r\n",
    "TLS": b"\x16\x03\x01",
    "zeros": bytes(16),
    "lower case": b"proxy TCP4 192.0.2.7 198.51.100.8 56324 443\r\n",
    "no protocol": b"PROXY \r\n",
    "unknown protocol": b"PROXY UDP4 192.0.2.7 198.51.100.8 56324 443\r\n",
    "UNKNOWN run together": b"PROXY UNKNOWNS\r\n",
    "two spaces": b"PROXY  TCP4 192.0.2.7 198.51.100.8 56324 443\r\n",
    "a space at the end": b"PROXY TCP4 192.0.2.7 198.51.100.8 56324 443 \r\n",
    "a tab": b"PROXY TCP4\t192.0.2.7 198.51.100.8 56324 443\r\n",
    "LF alone": b"PROXY TCP4 192.0.2.7 198.51.100.8 56324 443\n",
    "CR alone": b"PROXY TCP4 192.0.2.7 198.51.100.8 56324 443\rGET",
    "too few words": b"PROXY TCP4 192.0.2.7 198.51.100.8 56324\r\n",
    "too many words": b"PROXY TCP4 192.0.2.7 198.51.100.8 56324 443 0\r\n",
    "the other family": b"PROXY TCP4 2001:db8::7 2001:db8::8 56324 443\r\n",
    "the other family, too": b"PROXY TCP6 192.0.2.7 198.51.100.8 56324 443\r\n",
    "a zero before an octet": b"PROXY TCP4 192.0.02.7 198.51.100.8 56324 443\r\n",
    "three octets": b"PROXY TCP4 192.0.2 198.51.100.8 56324 443\r\n",
    "a prefix length": b"PROXY TCP4 192.0.2.7/32 198.51.100.8 56324 443\r\n",
    "a scope": b"PROXY TCP6 fe80::1%eth0 fe80::2 56324 443\r\n",
    "a name": b"PROXY TCP4 localhost 198.51.100.8 56324 443\r\n",
    "not ASCII": "PROXY TCP4 192.0.2.\u0667 198.51.100.8 56324 443\r\n".encode(),
    "a zero before a port": b"PROXY TCP4 192.0.2.7 198.51.100.8 056324 443\r\n",
    "port 00": b"PROXY TCP4 192.0.2.7 198.51.100.8 56324 00\r\n",
    "port 65536": b"PROXY TCP4 192.0.2.7 198.51.100.8 65536 443\r\n",
    "a negative port": b"PROXY TCP4 192.0.2.7 198.51.100.8 -1 443\r\n",
    "a signed port": b"PROXY TCP4 192.0.2.7 198.51.100.8 +80 443\r\n",
    "no port": b"PROXY TCP4 192.0.2.7 198.51.100.8  443\r\n",
    "v1 with a line feed in it": b"PROXY UNKNOWN \nffff::1\r\n",
    "v1 with a carriage return in it": b"PROXY UNKNOWN a\rb\r\n",
    "v1 too long": b"PROXY UNKNOWN " + b"x" * (MAX_V1 - 15) + b"\r\n",
    "v1 without an end": b"PROXY UNKNOWN " + b"x" * MAX_V1,
    "v2 of version 1": v2(0x11, 0x11, V4_BODY),
    "v2 of version 3": v2(0x31, 0x11, V4_BODY),
    "v2 with an unknown command": v2(0x22, 0x11, V4_BODY),
    "v2 with an unknown family": v2(0x21, 0x41, V4_BODY),
    "v2 with an unknown transport": v2(0x21, 0x13, V4_BODY),
    "v2 without room for IPv4": v2(0x21, 0x11, V4_BODY[:-1]),
    "v2 without room for IPv6": v2(0x21, 0x21, V4_BODY),
    "v2 longer than may be": v2(0x21, 0x11, b"", length=MAX_HEADER - 16 + 1),
    "v2 LOCAL longer than may be": v2(0x20, 0x00, b"", length=0xFFFF),
    "v2 with a TLV cut off": v2(0x21, 0x11, V4_BODY + b"\x04\x00"),
    "v2 with a TLV too long": v2(0x21, 0x11, V4_BODY + b"\x04\x00\x02a"),
    "v2 with a wrong checksum": v2(0x21, 0x11, V4_BODY + tlv(0x03, bytes(4))),
    "v2 with a short checksum": v2(0x21, 0x11, V4_BODY + tlv(0x03, b"")),
}


def feed_by_bytes(data: bytes) -> tuple[Header | None, int]:
    """What `parse` says when `data` comes a byte at a time, and after how many bytes."""
    for end in range(len(data) + 1):
        header = parse(data[:end])
        if header is not None:
            return header, end
    return None, len(data)


@pytest.mark.parametrize(("data", "addresses"), ADDRESSES.values(), ids=ADDRESSES)
def test_addresses(data: bytes, addresses: tuple[SocketAddress, SocketAddress]) -> None:
    header = Header(size=len(data), source=addresses[0], destination=addresses[1])
    assert parse(data) == header
    assert parse(data + PAYLOAD) == header
    assert feed_by_bytes(data + PAYLOAD) == (header, len(data))


@pytest.mark.parametrize("data", NO_ADDRESSES.values(), ids=NO_ADDRESSES)
def test_without_addresses(data: bytes) -> None:
    header = Header(size=len(data))
    assert parse(data + PAYLOAD) == header
    assert feed_by_bytes(data + PAYLOAD) == (header, len(data))


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_malformed(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse(data)
    with pytest.raises(ProtocolError):
        feed_by_bytes(data)


@pytest.mark.parametrize("data", [b"P", b"PROXY", b"PROXY TCP4", b"\r", SIGNATURE, v2(0x21, 0x11, V4_BODY)[:-1], b""])
def test_more_is_needed(data: bytes) -> None:
    assert parse(data) is None


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_kind_of_bytes(kind: type[bytes | bytearray | memoryview]) -> None:
    for data, (source, destination) in ADDRESSES.values():
        assert parse(kind(data)) == Header(size=len(data), source=source, destination=destination)


def test_errors_come_early() -> None:
    """What cannot become a header is refused without waiting for more."""
    for data in (b"X", b"PROXX", b"\r\n\r\r", SIGNATURE + b"\x11", SIGNATURE + b"\x21\x11\xff\xff"):
        with pytest.raises(ProtocolError):
            parse(data)


def test_the_checksum() -> None:
    # RFC 3720 appendix B.4
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E


def test_any_bit_of_an_address_that_changes_is_noticed() -> None:
    data = with_checksum(tlv(0x02, b"example.com"))
    for bit in range(16 * 8, (16 + len(V4_BODY)) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ProtocolError, match="checksum"):
            parse(changed)


# -- what we send ------------------------------------------------------------------------


def test_what_is_sent() -> None:
    assert proxy_protocol.encode_v1(*V4) == ADDRESSES["v1 IPv4"][0]
    assert proxy_protocol.encode_v1(*V6) == b"PROXY TCP6 2001:db8::7 2001:db8::8 56324 443\r\n"
    assert proxy_protocol.encode_v2(*V4) == ADDRESSES["v2 TCP over IPv4"][0]
    assert proxy_protocol.encode_v2(*V6) == ADDRESSES["v2 TCP over IPv6"][0]
    assert proxy_protocol.encode_v2(*V4, datagram=True) == ADDRESSES["v2 UDP over IPv4"][0]
    assert proxy_protocol.encode_v2(*V6, datagram=True) == ADDRESSES["v2 UDP over IPv6"][0]


hosts = st.ip_addresses().map(str)
addresses = st.builds(SocketAddress, hosts, st.integers(0, 65535))


def as_ipv6(address: SocketAddress) -> tuple[IPv6Address, int]:
    host = address.host if address.is_ipv6 else f"::ffff:{address.host}"
    return IPv6Address(host), address.port


@settings(max_examples=300)
@given(addresses, addresses, st.booleans())
@example(SocketAddress("1.2.3.4", 1), SocketAddress("::1", 2), True)
@example(SocketAddress("fe80::1%2", 1), SocketAddress("1.2.3.4", 2), False)
def test_round_trips(source: SocketAddress, destination: SocketAddress, datagram: bool) -> None:
    """What is sent is read back; addresses of two families come back as IPv6, IPv4-mapped."""
    for data in (
        proxy_protocol.encode_v1(source, destination),
        proxy_protocol.encode_v2(source, destination, datagram=datagram),
    ):
        header = parse(data + PAYLOAD)
        assert header is not None
        assert header.size == len(data)
        for sent, came in ((source, header.source), (destination, header.destination)):
            assert came is not None
            plain = SocketAddress(sent.host.partition("%")[0], sent.port)
            assert as_ipv6(came) == as_ipv6(plain)
            assert came.is_ipv6 == (source.is_ipv6 or destination.is_ipv6)


# -- any bytes ---------------------------------------------------------------------------

KNOWN = [data for data, _ in ADDRESSES.values()] + list(NO_ADDRESSES.values()) + list(MALFORMED.values())


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A header with bytes replaced, inserted or removed."""
    data = bytearray(draw(st.sampled_from(KNOWN))[:400])
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        data[start : start + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(data)


v2_like = st.builds(v2, st.sampled_from([0x20, 0x21, 0x22]), st.integers(0, 0x33), st.binary(max_size=300))


@settings(max_examples=300)
@given(st.one_of(st.binary(), v2_like, damaged(), st.binary().map(b"PROXY ".__add__)))
def test_any_bytes_give_a_header_or_a_wish_for_more_or_a_protocol_error(data: bytes) -> None:
    try:
        header = parse(data)
    except ProtocolError:
        return
    if header is None:
        assert len(data) < MAX_HEADER
        return
    assert 0 < header.size <= min(len(data), MAX_HEADER)
    assert (header.source is None) == (header.destination is None)
    for address in (header.source, header.destination):
        if address is not None:
            assert str(IPv6Address(address.host) if address.is_ipv6 else IPv4Address(address.host)) == address.host
            assert 0 <= address.port <= 65535


@settings(max_examples=300)
@given(st.one_of(v2_like, damaged()))
def test_pieces_say_what_the_whole_says(data: bytes) -> None:
    """Neither the split into pieces nor what follows changes the answer."""
    try:
        whole = parse(data)
    except ProtocolError:
        with pytest.raises(ProtocolError):
            feed_by_bytes(data)
    else:
        assert feed_by_bytes(data)[0] == whole
