"""The writing side of a socket."""

from __future__ import annotations

from collections.abc import Callable

from meshproxy.dataplane.reactor import Reactor
from meshproxy.dataplane.stream import Stream


def _nobody() -> None:
    """Whom a closed outbox tells."""


class Outbox:
    """Sends at once what the socket takes and keeps the rest until it is writable.

    Whoever writes stops while `write` says False, until `drained` is called: so what is kept is never more
    than one piece of a body and a head. `failed` is called, at most once and never within `write`, when the
    socket takes nothing any more; what is written then is dropped.
    """

    __slots__ = ("_drained", "_failed", "_reactor", "_rest", "_send", "_socket", "broken")

    def __init__(self, reactor: Reactor, sock: Stream, drained: Callable[[], None], failed: Callable[[], None]) -> None:
        self._reactor = reactor
        self._socket = sock
        self._send = sock.send
        self._drained = drained
        self._failed = failed
        self._rest: bytes | memoryview | None = None
        self.broken = False

    @property
    def is_empty(self) -> bool:
        return self._rest is None

    def write(self, data: bytes | memoryview) -> bool:
        """Send `data`; whether all of it was taken. A memoryview is copied where it has to be kept."""
        if self._rest is not None:
            self._rest = bytes(self._rest) + bytes(data)
            return False
        if self.broken:
            return True
        try:
            sent = self._send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            # Told from the loop: the caller is in the middle of something. A broken socket is "writable".
            self.broken = True
            self._rest = b""
            self._reactor.add_writer(self._socket, self._writable)
            return False
        if sent == len(data):
            return True
        self._rest = memoryview(bytes(data))[sent:]
        self._reactor.add_writer(self._socket, self._writable)
        return False

    def take_rest(self) -> bytes:
        """What was not sent yet, which is the caller's from now on."""
        rest = self._rest
        if rest is None:
            return b""
        self._stop()
        return bytes(rest)

    def close(self) -> None:
        """Tell nobody anything any more: the owner, who closes the socket, is held no longer."""
        self._drained = self._failed = _nobody

    def _writable(self) -> None:
        rest = self._rest
        if rest is None:
            return
        if self.broken:
            self._stop()
            self._failed()
            return
        try:
            sent = self._send(rest)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.broken = True
            self._stop()
            self._failed()
            return
        if sent < len(rest):
            self._rest = rest[sent:]
            return
        self._stop()
        self._drained()

    def _stop(self) -> None:
        self._rest = None
        self._reactor.remove_writer(self._socket)
