"""HAProxy's PROXY protocol, versions 1 and 2 (proxy-protocol.txt of HAProxy 2.8).

Any bytes give a `Header`, None (more are needed), or a `ProtocolError`. Nothing is guessed: what
begins otherwise is an error, as §2 demands, lest clients make up addresses.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

import msgspec

from meshproxy.base.addresses import SocketAddress
from meshproxy.base.errors import ProtocolError
from meshproxy.protocols.crc32c import crc32c

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
MAX_V1 = 107
"""Bytes of the longest version 1 header, CRLF included (proxy-protocol.txt §2.1)."""
MAX_HEADER = 4096
"""Bytes of the longest header taken (nginx: 4096). §2 has 536 in mind; the TLVs of clouds may need more."""

_V1_PREFIX = b"PROXY "
_ADDRESS_SIZE = {0x1: 4, 0x2: 16}
_LOCAL, _PROXY = 0x20, 0x21
_STREAM, _DATAGRAM = 0x1, 0x2
_TLV_CRC32C = 0x03


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """Who connected to whom, as the sender says; None where it does not (v1 ``UNKNOWN``, v2 ``LOCAL``).

    `size` is how many of the bytes the header took.
    """

    size: int
    source: SocketAddress | None = None
    destination: SocketAddress | None = None


def parse(data: bytes | bytearray | memoryview) -> Header | None:
    """Read a header at the start of `data`; None when it is not complete yet.

    Raises `ProtocolError` when `data` cannot become a header of at most `MAX_HEADER` bytes.
    """
    start = bytes(data[:16])
    if start.startswith(SIGNATURE):
        return _parse_v2(data, start)
    if start.startswith(_V1_PREFIX):
        return _parse_v1(bytes(data[:MAX_V1]))
    if SIGNATURE.startswith(start) or _V1_PREFIX.startswith(start):
        return None
    raise ProtocolError("no PROXY protocol header")


# -- version 1 ---------------------------------------------------------------------------


def _parse_v1(data: bytes) -> Header | None:
    line, crlf, _ = data.partition(b"\r\n")
    if not crlf:
        if len(data) >= MAX_V1 or b"\n" in data or b"\r" in data[:-1]:
            raise ProtocolError("PROXY v1 header without its CRLF")
        return None
    if b"\n" in line or b"\r" in line:
        raise ProtocolError("PROXY v1 header of several lines")
    size = len(line) + 2
    words = line.split(b" ")
    if words[1] == b"UNKNOWN":  # §2.1: the rest of the line is to be ignored
        return Header(size=size)
    if len(words) != 6 or words[1] not in (b"TCP4", b"TCP6"):
        raise ProtocolError("malformed PROXY v1 header")
    kind = IPv4Address if words[1] == b"TCP4" else IPv6Address
    source, destination = (_v1_address(kind, words[2 + i], words[4 + i]) for i in (0, 1))
    return Header(size=size, source=source, destination=destination)


def _v1_address(kind: type[IPv4Address | IPv6Address], host: bytes, port: bytes) -> SocketAddress:
    if not port.isdigit() or (len(port) > 1 and port.startswith(b"0")) or len(port) > 5 or int(port) > 65535:
        raise ProtocolError("malformed port in PROXY v1 header")
    try:
        address = kind(host.decode("ascii"))
    except (ValueError, UnicodeDecodeError):
        raise ProtocolError("malformed address in PROXY v1 header") from None
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise ProtocolError("address with a scope in PROXY v1 header")
    return SocketAddress(str(address), int(port))


def encode_v1(source: SocketAddress, destination: SocketAddress) -> bytes:
    """The header for a TCP connection; addresses of two families become version 6."""
    family, (first, second) = _common_family(source, destination)
    return f"PROXY TCP{family} {first} {second} {source.port} {destination.port}\r\n".encode("ascii")


# -- version 2 ---------------------------------------------------------------------------


def _parse_v2(data: bytes | bytearray | memoryview, start: bytes) -> Header | None:
    if len(start) > 12 and start[12] not in (_LOCAL, _PROXY):
        raise ProtocolError(f"PROXY v2 header with version and command {start[12]:#04x}")
    if len(start) < 16:
        return None
    size = 16 + int.from_bytes(start[14:16], "big")
    if size > MAX_HEADER:
        raise ProtocolError(f"PROXY v2 header of {size} bytes, more than {MAX_HEADER}")
    if start[12] == _LOCAL:  # §2.2: all that follows is to be discarded, the family included
        return Header(size=size) if len(data) >= size else None
    family, transport = start[13] >> 4, start[13] & 0xF
    if family > 0x3 or transport > 0x2:
        raise ProtocolError(f"PROXY v2 header with address family and protocol {start[13]:#04x}")
    if len(data) < size:
        return None
    width = _ADDRESS_SIZE.get(family)
    if width is None or transport == 0:  # UNSPEC and AF_UNIX: no address that we could use
        return Header(size=size)
    return _v2_addresses(bytes(data[:size]), width)


def _v2_addresses(header: bytes, width: int) -> Header:
    tlvs = 16 + 2 * width + 4
    if len(header) < tlvs:
        raise ProtocolError("PROXY v2 header shorter than its addresses")
    _check_tlvs(header, tlvs)
    first, second, first_port, second_port = struct.unpack_from(f"!{width}s{width}sHH", header, 16)
    return Header(
        size=len(header),
        source=SocketAddress(str(ip_address(first)), first_port),
        destination=SocketAddress(str(ip_address(second)), second_port),
    )


def _check_tlvs(header: bytes, at: int) -> None:
    """Walk the type-length-value vectors (§2.2), which must add up; but for the checksum they say nothing to us."""
    while at < len(header):
        value = at + 3
        end = value + int.from_bytes(header[at + 1 : value], "big")
        if value > len(header) or end > len(header):
            raise ProtocolError("TLV beyond the end of the PROXY v2 header")
        if header[at] == _TLV_CRC32C:
            _check_crc(header, value, end)
        at = end


def _check_crc(header: bytes, start: int, end: int) -> None:
    """§2.2.3: the checksum is of the whole header, with zeros in its own place."""
    blanked = header[:start] + bytes(end - start) + header[end:]
    if end - start != 4 or crc32c(blanked) != int.from_bytes(header[start:end], "big"):
        raise ProtocolError("PROXY v2 header with a wrong checksum")


def encode_v2(source: SocketAddress, destination: SocketAddress, *, datagram: bool = False) -> bytes:
    """The header for a TCP connection, or for a `datagram`; addresses of two families become IPv6."""
    family, (first, second) = _common_family(source, destination)
    kind = (0x1 if family == 4 else 0x2) << 4 | (_DATAGRAM if datagram else _STREAM)
    body = first.packed + second.packed + struct.pack("!HH", source.port, destination.port)
    return SIGNATURE + struct.pack("!BBH", _PROXY, kind, len(body)) + body


def encode(version: int, source: SocketAddress, destination: SocketAddress) -> bytes:
    """The header for a TCP connection in `version` 1 or 2."""
    return encode_v1(source, destination) if version == 1 else encode_v2(source, destination)


def _common_family(
    source: SocketAddress, destination: SocketAddress
) -> tuple[int, tuple[IPv4Address | IPv6Address, IPv4Address | IPv6Address]]:
    first, second = ip_address(source.host.partition("%")[0]), ip_address(destination.host.partition("%")[0])
    if first.version == second.version:
        return first.version, (first, second)
    return 6, (_mapped(first), _mapped(second))


def _mapped(address: IPv4Address | IPv6Address) -> IPv6Address:
    return address if isinstance(address, IPv6Address) else IPv6Address(f"::ffff:{address}")
