"""What connections need of a socket. `socket.socket` is one, and so is `tls.stream.TLSStream`."""

from __future__ import annotations

from typing import Any, Protocol

Buffer = bytes | bytearray | memoryview


class Stream(Protocol):
    """A connected, non-blocking stream of bytes.

    `recv`, `recv_into` and `send` raise `BlockingIOError` where they would wait, and other `OSError`s where the
    connection is broken. An empty `recv` is the end that the peer meant. One that has been readable need not be
    read to the end: it becomes readable again.
    """

    def fileno(self) -> int: ...

    def recv(self, size: int, /) -> bytes: ...

    def recv_into(self, buffer: bytearray | memoryview, /) -> int: ...

    def send(self, data: Buffer, /) -> int: ...

    def shutdown(self, how: int, /) -> None: ...

    def setsockopt(self, level: int, option: int, value: int | bytes, /) -> None: ...

    def getsockname(self) -> Any: ...

    def close(self) -> None: ...
