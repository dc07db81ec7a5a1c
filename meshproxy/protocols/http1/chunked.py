"""Chunked bodies (RFC 9112 §7.1), read along while they pass.

Bytes go on as they came, so that everyone frames them alike: line ends are CRLF, sizes are plain hexadecimal,
and extensions keep to the grammar (what hides a bare LF in one has made servers disagree).
"""

from __future__ import annotations

import enum
import re

from meshproxy.protocols.http1 import syntax
from meshproxy.protocols.http1.errors import MalformedBody

MAX_LINE = 1024
"""Bytes of a chunk's size and extensions (Go: 4096)."""
_SHORT_LINE = 16
MAX_OVERHEAD = 16384
"""Bytes of size lines beyond 16 a chunk and two for each byte of data, in all (as Go counts since CVE-2023-39326)."""
MAX_TRAILERS = 8192
"""Bytes of all trailer fields."""

_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*+"'
_EXTENSION = rb"(?:;" + syntax.TOKEN + rb"++(?:=(?:" + syntax.TOKEN + rb"++|" + _QUOTED + rb"))?)"
"""Without the "bad" white space of RFC 9112 §7.1.1, as in llhttp: servers have disagreed on it, and nobody sends it."""
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15}+)" + _EXTENSION + rb"*+\r\n")
_TRAILERS = re.compile(syntax.FIELDS + rb"\r\n")
_FORBIDDEN = syntax.named(
    b"transfer-encoding", b"content-length", b"host", b"connection", b"upgrade", b"te", b"trailer", b"cookie",
    b"authorization", b"set-cookie", b"content-encoding", b"content-type", b"content-range", b"expect",
    b"keep-alive", b"proxy-connection", b"proxy-authorization", b"proxy-authenticate", b"www-authenticate",
    b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-real-ip",
    b"x-forwarded-client-cert",
)  # fmt: skip
"""RFC 9110 §6.5.1: what frames, routes or authenticates has no place after the body."""


class _State(enum.Enum):
    SIZE = enum.auto()
    DATA = enum.auto()
    DATA_END = enum.auto()
    TRAILERS = enum.auto()
    DONE = enum.auto()


class ChunkedReader:
    """Finds the end of one chunked body in bytes that arrive in any pieces. `payload` counts the data in it."""

    __slots__ = ("_line", "_overhead", "_remaining", "_state", "payload")

    def __init__(self) -> None:
        self._state = _State.SIZE
        self._remaining = 0
        self._line = b""
        self._overhead = 0
        self.payload = 0

    @property
    def done(self) -> bool:
        return self._state is _State.DONE

    def feed(self, data: bytes, slices: list[bytes] | None = None) -> int:
        """Read on; returns how many bytes of `data` belong to the body: all of them, unless it is `done`.

        The data without its framing is appended to `slices` where they are given. Raises `MalformedBody`.
        """
        at, size = 0, len(data)
        if self._state is _State.SIZE and not self._line and not self._overhead:
            at = self._read_whole_chunks(data, slices)
        while at < size:
            if self._state is _State.DATA:
                taken = min(self._remaining, size - at)
                if slices is not None:
                    slices.append(data[at : at + taken])
                at += taken
                self._remaining -= taken
                self.payload += taken
                if not self._remaining:
                    self._state = _State.DATA_END
            elif self._state is _State.SIZE:
                at = self._read_size(data, at)
            elif self._state is _State.DATA_END:
                at = self._read_data_end(data, at)
            elif self._state is _State.TRAILERS:
                at = self._read_trailers(data, at)
            else:
                break
        return at

    def _read_whole_chunks(self, data: bytes, slices: list[bytes] | None) -> int:
        """The fast way through the chunks that `data` begins with; what it does not like is left to the other."""
        at = 0
        while match := _SIZE_LINE.match(data, at):
            begin = match.end()
            length = int(match[1], 16)
            end = begin + length
            if not length or begin - at > _SHORT_LINE or data[end : end + 2] != b"\r\n":
                break
            if slices is not None:
                slices.append(data[begin:end])
            self.payload += length
            at = end + 2
        return at

    def _read_size(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at)
        line = self._line + (data[at:] if end < 0 else data[at : end + 1])
        if len(line) > MAX_LINE:
            raise MalformedBody("a chunk's size line is too long")
        if end < 0:
            self._line = line
            return len(data)
        self._line = b""
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise MalformedBody("a chunk's size is malformed")
        self._remaining = int(match[1], 16)
        self._overhead = max(self._overhead + len(line) - _SHORT_LINE - 2 * self._remaining, 0)
        if self._overhead > MAX_OVERHEAD:
            raise MalformedBody("the body has more in its chunks' size lines than data")
        if self._remaining:
            self._state = _State.DATA
        else:
            self._state = _State.TRAILERS
            self._line = b"\r\n"  # so that every trailer follows a line break, as in a head
        return end + 1

    def _read_data_end(self, data: bytes, at: int) -> int:
        piece = data[at : at + 2 - len(self._line)]
        self._line += piece
        if not b"\r\n".startswith(self._line):
            raise MalformedBody("a chunk is longer than its size")
        if len(self._line) == 2:
            self._line = b""
            self._state = _State.SIZE
        return at + len(piece)

    def _read_trailers(self, data: bytes, at: int) -> int:
        before = len(self._line)
        line = self._line + data[at : at + MAX_TRAILERS + 4]
        end = line.find(b"\r\n\r\n", max(before - 3, 0))
        if (len(line) if end < 0 else end + 4) > MAX_TRAILERS:
            raise MalformedBody("the trailers are too long")
        if end < 0:
            if syntax.BARE_LF.search(line, before - 1) or syntax.BARE_CR.search(line, before - 1):
                raise MalformedBody("a trailer ends in a bare LF or CR")
            self._line = line
            return len(data)
        trailers = line[: end + 4]
        if not _TRAILERS.fullmatch(trailers[2:]) or _FORBIDDEN.search(trailers):
            raise MalformedBody("a trailer is malformed, or may not be one")
        self._state = _State.DONE
        self._line = b""
        return at + len(trailers) - before
