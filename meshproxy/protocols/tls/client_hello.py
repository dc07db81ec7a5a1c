"""The first message of a TLS client, in clear (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2).

It says which server the client means (RFC 6066 §3) and which protocols it would speak inside (RFC 7301). Any bytes
give a `ClientHello`, None (more are needed), or a `ProtocolError`.
"""

from __future__ import annotations

from typing import NamedTuple

from meshproxy.base.errors import ProtocolError

HANDSHAKE = 22
"""The content type of a record that begins a handshake (RFC 8446 §5.1)."""
MAX_HELLO = 65536
"""Bytes of a ClientHello (Envoy's TLS inspector: 16 KiB; post-quantum keys make them grow)."""

_MAX_RECORD = 16384
_CLIENT_HELLO = 1
_SERVER_NAME, _ALPN = 0, 16
_HOST_NAME = 0
_TOO_SHORT = "a ClientHello that is shorter than what it holds"


class ClientHello(NamedTuple):
    """`server_name` is in lower case without a final dot, and empty where the client names none."""

    server_name: str = ""
    protocols: tuple[bytes, ...] = ()


def looks_like_tls(data: bytes) -> bool | None:
    """Whether `data` begins a TLS connection: a handshake record of version 3.x; None for no bytes."""
    if not data:
        return None
    return data[0] == HANDSHAKE and (len(data) < 2 or data[1] == 3)


def parse_client_hello(data: bytes) -> ClientHello | None:
    """Read the ClientHello at the start of `data`; None when it is not complete yet.

    Raises `ProtocolError` when `data` cannot become one of at most `MAX_HELLO` bytes.
    """
    return ClientHelloReader().feed(data)


class ClientHelloReader:
    """The same for what comes in pieces. Each record is looked at once, however many there are, and however slowly.

    `data` is all that was fed.
    """

    __slots__ = ("_at", "_message", "data")

    def __init__(self) -> None:
        self.data = b""
        self._at = 0
        """Where the first record begins that is not complete."""
        self._message = bytearray()
        """The handshake message as far as complete records carry it (RFC 8446 §5.1)."""

    def feed(self, piece: bytes) -> ClientHello | None:
        """Read on with one more piece; see `parse_client_hello`."""
        self.data = data = self.data + piece if self.data else piece
        message = self._message
        while self._at < len(data):
            at = self._at
            if not looks_like_tls(data[at : at + 2]):
                raise ProtocolError("this is not TLS")
            if len(data) < at + 5:
                break
            size = int.from_bytes(data[at + 3 : at + 5], "big")
            if not 0 < size <= _MAX_RECORD:
                raise ProtocolError(f"a TLS record of {size} bytes")
            part = data[at + 5 : at + 5 + size]
            end = _end_of(bytes(message[:4]) + part[:4])
            if end and len(message) + len(part) >= end:
                return _read((bytes(message) + part)[4:end])
            if len(part) < size:
                break
            message += part
            self._at = at + 5 + size
        if len(data) > MAX_HELLO:
            raise ProtocolError(f"a ClientHello of more than {MAX_HELLO} bytes")
        return None


def _end_of(beginning: bytes) -> int:
    """Where the message ends of which this is the beginning; 0 where that is not said yet."""
    if beginning and beginning[0] != _CLIENT_HELLO:
        raise ProtocolError("a TLS connection that does not begin with a ClientHello")
    if len(beginning) < 4:
        return 0
    end = 4 + int.from_bytes(beginning[1:4], "big")
    if end > MAX_HELLO:
        raise ProtocolError(f"a ClientHello of {end} bytes")
    return end


def _read(hello: bytes) -> ClientHello:
    """Skip to the extensions, and look at two of them. Offsets into one string: this is on every handshake's way."""
    at = 34  # version and random
    at = _after(hello, at, 1)  # session id
    at = _after(hello, at, 2)  # cipher suites
    at = _after(hello, at, 1)  # compression methods
    if at == len(hello):
        return ClientHello()
    end = _after(hello, at, 2)
    at += 2
    name = ""
    protocols: tuple[bytes, ...] = ()
    seen: set[int] = set()
    while at < end:
        following = _after(hello, at + 2, 2)
        kind = hello[at] << 8 | hello[at + 1]
        if kind in seen:
            raise ProtocolError(f"a ClientHello with the extension {kind} twice")
        seen.add(kind)
        if kind == _SERVER_NAME:
            name = _server_name(hello[at + 4 : following])
        elif kind == _ALPN:
            protocols = _protocols(hello[at + 4 : following])
        at = following
    if at != end:
        raise ProtocolError(_TOO_SHORT)
    return ClientHello(name, protocols)


def _after(data: bytes, at: int, width: int) -> int:
    """Where a vector ends whose length stands at `at`, in `width` bytes (RFC 8446 §3.4)."""
    start = at + width
    if start > len(data):
        raise ProtocolError(_TOO_SHORT)
    end = start + (data[at] if width == 1 else data[at] << 8 | data[at + 1])
    if end > len(data):
        raise ProtocolError(_TOO_SHORT)
    return end


def _server_name(contents: bytes) -> str:
    end = _after(contents, 0, 2)
    at = 2
    while at < end:
        following = _after(contents, at + 1, 2)
        if contents[at] == _HOST_NAME:
            name = contents[at + 3 : following]
            if not name or b"\0" in name or not name.isascii():
                raise ProtocolError("a ClientHello with a malformed server name")
            return name.decode("ascii").lower().removesuffix(".")
        at = following
    return ""


def _protocols(contents: bytes) -> tuple[bytes, ...]:
    end = _after(contents, 0, 2)
    at = 2
    protocols: list[bytes] = []
    while at < end:
        following = _after(contents, at, 1)
        protocols.append(contents[at + 1 : following])
        at = following
    return tuple(protocols)
