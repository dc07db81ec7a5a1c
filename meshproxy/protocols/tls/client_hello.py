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
    message = _message(data)
    if message is None:
        if len(data) > MAX_HELLO:
            raise ProtocolError(f"a ClientHello of more than {MAX_HELLO} bytes")
        return None
    return _read(_Reader(message))


def _message(data: bytes) -> bytes | None:
    """The handshake message that the first records carry, once all of it is here (RFC 8446 §5.1)."""
    message = b""
    at = 0
    while at < len(data):
        if not looks_like_tls(data[at : at + 2]):
            raise ProtocolError("this is not TLS")
        if len(data) < at + 5:
            return None
        size = int.from_bytes(data[at + 3 : at + 5], "big")
        if not 0 < size <= _MAX_RECORD:
            raise ProtocolError(f"a TLS record of {size} bytes")
        message += data[at + 5 : at + 5 + size]
        if message and message[0] != _CLIENT_HELLO:
            raise ProtocolError("a TLS connection that does not begin with a ClientHello")
        if len(message) >= 4:
            end = 4 + int.from_bytes(message[1:4], "big")
            if end > MAX_HELLO:
                raise ProtocolError(f"a ClientHello of {end} bytes")
            if len(message) >= end:
                return message[4:end]
        at += 5 + size
    return None


class _Reader:
    """Takes bytes off the front of a message."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_empty(self) -> bool:
        return self._at == len(self._data)

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise ProtocolError("a ClientHello that is shorter than what it holds")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def vector(self, width: int) -> _Reader:
        """A vector whose length comes before it in `width` bytes (RFC 8446 §3.4)."""
        return _Reader(self.take(self.number(width)))

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)


def _read(hello: _Reader) -> ClientHello:
    hello.take(2 + 32)  # version and random
    hello.vector(1)  # session id
    hello.vector(2)  # cipher suites
    hello.vector(1)  # compression methods
    if hello.is_empty:
        return ClientHello()
    name = ""
    protocols: tuple[bytes, ...] = ()
    extensions = hello.vector(2)
    seen: set[int] = set()
    while not extensions.is_empty:
        kind, contents = extensions.number(2), extensions.vector(2)
        if kind in seen:
            raise ProtocolError(f"a ClientHello with the extension {kind} twice")
        seen.add(kind)
        if kind == _SERVER_NAME:
            name = _server_name(contents)
        elif kind == _ALPN:
            protocols = _protocols(contents)
    return ClientHello(name, protocols)


def _server_name(contents: _Reader) -> str:
    names = contents.vector(2)
    while not names.is_empty:
        kind, name = names.number(1), names.vector(2).rest()
        if kind == _HOST_NAME:
            if not name or b"\0" in name or not name.isascii():
                raise ProtocolError("a ClientHello with a malformed server name")
            return name.decode("ascii").lower().removesuffix(".")
    return ""


def _protocols(contents: _Reader) -> tuple[bytes, ...]:
    names = contents.vector(2)
    protocols: list[bytes] = []
    while not names.is_empty:
        protocols.append(names.vector(1).rest())
    return tuple(protocols)
