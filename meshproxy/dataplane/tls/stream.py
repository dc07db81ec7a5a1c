"""A TLS connection with the methods of a non-blocking socket.

Theory of operation. Reading takes what the socket has, up to a bound, and decrypts all of it, so that nothing is left
which epoll would not tell of. Writing encrypts all of it and sends; ciphertext that the socket does not take
stays here, and then one byte less is reported as sent: whoever writes keeps that byte, waits until the socket is
writable, and sends it again, which first sends what stayed here. (OpenSSL's own rule for a repeated SSL_write, with
less to remember.) So callers that know nothing of TLS wait for the right moment.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable
from typing import Any

from meshproxy.dataplane.stream import Buffer
from meshproxy.dataplane.tls.failures import PEER, reason_of, words

RECORD = 16384
"""Bytes of plain text in a record, at most (RFC 8446 §5.1)."""
READ_AT_ONCE = 65536
"""Bytes of ciphertext taken from a socket at once; each connection's BIO stays as large as it once was."""
MAX_SEND = 262144
"""Bytes of plain text encrypted at once."""

_scratch = bytearray(READ_AT_ONCE)
_scratch_view = memoryview(_scratch)
_record_view = _scratch_view[:RECORD]
"""Ciphertext on its way from a socket to a BIO: a worker has one thread, and nothing waits in it."""


class TLSStream:
    """Implements `stream.Stream`. Owns the socket; `session` is one side of a TLS connection over it."""

    __slots__ = (
        "_aborted", "_ended", "_incoming", "_outgoing", "_owed", "_read", "_read_into", "_receive", "_rest",
        "_said_end", "_send", "_socket", "_write", "refused", "session",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, **options: Any) -> None:
        """`options` are `SSLContext.wrap_bio`'s."""
        self._socket = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.session = context.wrap_bio(self._incoming, self._outgoing, **options)
        inner: Any = getattr(self.session, "_sslobj", self.session)  # `SSLObject` adds a Python call to each of its own
        self._read: Callable[[int], bytes] = inner.read
        self._read_into: Callable[[int, memoryview], int] = inner.read
        self._write: Callable[[Buffer], int] = inner.write
        self._receive = sock.recv_into
        self._send = sock.send
        self._rest: bytes | memoryview = b""
        """Ciphertext that the socket has not taken."""
        self._owed = False
        """Whether the last byte that was encrypted was not reported as sent."""
        self._ended = self._aborted = self._said_end = False
        self.refused: Callable[[str], None] | None = None
        """Is told if the peer refuses our certificate, which a server says after the handshake (RFC 8446 §4.4.2.4)."""

    # -- handshake -----------------------------------------------------------------------

    def feed(self, ciphertext: bytes) -> None:
        """Take what was read from the socket already."""
        self._incoming.write(ciphertext)

    def fill(self) -> None:
        """Take what the socket has. Raises as `recv`."""
        count = self._receive(_scratch)
        if not count:
            raise _cut_off()
        self._incoming.write(_scratch_view[:count])

    def handshake(self) -> bool:
        """Go as far as what was fed allows; whether it is complete. Raises `ssl.SSLError`. `flush` what came of it."""
        try:
            self.session.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def has_only_tickets_to_send(self) -> bool:
        """Whether what OpenSSL has to say after the handshake may travel with the first bytes (RFC 8446 §4.6.1)."""
        return self.session.server_side and self.session.version() == "TLSv1.3"

    def flush(self) -> bool:
        """Send what OpenSSL has to say; whether the socket took all of it. Raises `OSError` where it is broken."""
        if self._outgoing.pending:
            self._rest = bytes(self._rest) + self._outgoing.read()
        if self._rest:
            try:
                self._send_rest()
            except (BlockingIOError, InterruptedError):
                pass
        return not self._rest

    def _send_rest(self) -> None:
        # Not in one line: mypyc may evaluate a slice's bounds twice (try_gen_slice_op, where no type fits).
        sent = self._send(self._rest)
        self._rest = self._rest[sent:]

    def first(self) -> bytes:
        """What came right behind the handshake."""
        if not self._incoming.pending:
            return b""
        try:
            return self._decrypt()
        except BlockingIOError:
            return b""

    # -- reading -------------------------------------------------------------------------

    def recv(self, size: int, /) -> bytes:
        """As a socket's, but for `size` being of the ciphertext: a record more may come out of it."""
        count = self._receive(_record_view if size <= RECORD else _scratch_view[:size])
        if count:
            self._incoming.write(_scratch_view[:count])
            return self._decrypt()
        if self._ended:
            return b""
        raise _cut_off()

    def _decrypt(self) -> bytes:
        """All that is here; raises `BlockingIOError` where that is nothing yet."""
        data = self._read_record()
        if not self._incoming.pending or not data:
            return data
        parts = []
        while data:
            parts.append(data)
            if not self._incoming.pending:
                return b"".join(parts)
            try:
                data = self._read_record()
            except BlockingIOError:
                return b"".join(parts)
        self._tell_end_again()
        return b"".join(parts)

    def _read_record(self) -> bytes:
        try:
            data = self._read(RECORD)
        except ssl.SSLError as error:
            self._explain(error)
            data = b""
        if not data:
            self._ended = True
        return data

    def recv_into(self, buffer: bytearray | memoryview, /) -> int:
        """As a socket's. `buffer` must have room for two records."""
        count = self._receive(_scratch_view[: len(buffer) - RECORD])
        if not count:
            if self._ended:
                return 0
            raise _cut_off()
        self._incoming.write(_scratch_view[:count])
        view = memoryview(buffer)
        filled = 0
        while True:
            try:
                count = self._read_into(len(view), view)
            except ssl.SSLWantReadError as error:
                if filled:
                    return filled
                self._explain(error)
            except ssl.SSLError as error:
                self._explain(error)
                count = 0
            if not count:
                self._ended = True
                if filled:
                    self._tell_end_again()
                return filled
            filled += count
            if not self._incoming.pending:
                return filled
            view = view[count:]

    def _explain(self, error: ssl.SSLError) -> None:
        """Return where `error` is the end that the peer meant, raise where it is something else."""
        if self._outgoing.pending and not self._owed:  # an alert, or the answer to a KeyUpdate
            self.flush()
        if isinstance(error, ssl.SSLWantReadError):
            raise BlockingIOError
        if not isinstance(error, ssl.SSLZeroReturnError):
            reason, refused = reason_of(error), self.refused
            if refused is not None and reason.startswith(PEER):
                refused(reason)
            raise ConnectionAbortedError(errno.EPROTO, words(error)) from None

    def _tell_end_again(self) -> None:
        """The end came behind data. A socket that is shut down for reading is readable, and gives its end."""
        try:
            self._socket.shutdown(socket.SHUT_RD)
        except OSError:
            pass  # broken, which is told as well

    # -- writing -------------------------------------------------------------------------

    def send(self, data: Buffer, /) -> int:
        """As a socket's."""
        before = 0
        if self._rest:
            self._send_rest()
            if self._rest:
                raise BlockingIOError
        if self._owed:
            self._owed = False
            before = 1
            if len(data) == 1:
                return 1
            data = memoryview(data)[1:]
        count = self._encrypt(data)
        ciphertext = self._outgoing.read()
        try:
            sent = self._send(ciphertext)
        except (BlockingIOError, InterruptedError):
            sent = 0
        if sent == len(ciphertext):
            return before + count
        self._rest = memoryview(ciphertext)[sent:]
        self._owed = True
        return before + count - 1

    def _encrypt(self, data: Buffer) -> int:
        count = min(len(data), MAX_SEND)
        try:
            if count <= RECORD:
                self._write(data)
            else:
                view = memoryview(data)
                for start in range(0, count, RECORD):
                    self._write(view[start : min(start + RECORD, count)])
        except ssl.SSLError as error:
            raise ConnectionAbortedError(errno.EPROTO, words(error)) from None
        return count

    # -- the rest of a socket ------------------------------------------------------------

    def fileno(self) -> int:
        return self._socket.fileno()

    def getsockname(self) -> Any:
        return self._socket.getsockname()

    def setsockopt(self, level: int, option: int, value: int | bytes, /) -> None:
        if (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER):
            self._aborted = True  # to be reset: the peer must not take it for the end
        self._socket.setsockopt(level, option, value)

    def shutdown(self, how: int, /) -> None:
        """`SHUT_WR`: say that nothing more will be sent (close_notify), and half-close."""
        self._say_end()
        self._socket.shutdown(how)

    def close(self) -> None:
        """Say that this is the end, unless it is reset, and close."""
        if not self._aborted:
            self._say_end()
        self._socket.close()

    def _say_end(self) -> None:
        if self._rest or self._said_end:
            return  # in the middle of a record the peer is to see that something is missing
        self._said_end = True
        try:
            self.session.unwrap()
        except (ssl.SSLError, ValueError):
            pass  # it wants the peer's answer, which is not waited for
        try:
            self.flush()
        except OSError:
            pass  # the peer is gone already


def _cut_off() -> ConnectionResetError:
    """RFC 8446 §6.1: without a close_notify, what came last may not have been meant to be the last."""
    return ConnectionResetError(errno.ECONNRESET, "closed without a close_notify")
