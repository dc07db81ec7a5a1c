"""One check of one endpoint: a TCP connection, or an HTTP/1.1 request.

Only the status line is read and judged (RFC 9112 §4); what follows it is read and dropped, a little of
it and not for long, so that closing is a FIN and not a reset that would fill the endpoint's log.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re

from meshproxy import __version__
from meshproxy.base.addresses import SocketAddress
from meshproxy.base.durations import format_duration
from meshproxy.snapshot.model import HealthCheck

MAX_STATUS_LINE = 8192
"""Bytes (Apache's `LimitRequestLine` is 8190)."""
MAX_REST = 65536
"""Bytes read after the status line before the connection is closed all the same."""
LINGER = 0.1
"""Seconds that the rest of an answer may take before the connection is closed all the same."""
LATENESS = 0.1
"""Seconds by which a time-out may be late and still be the endpoint's fault."""

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})( [^\r\n]*)?\r?\n")
_OUR_TROUBLE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})


class ProbeNotPossible(Exception):
    """This machine could not check: it says nothing about the endpoint."""


async def probe(address: SocketAddress, check: HealthCheck) -> str:
    """Why `address` failed `check`, within its timeout; empty when it passed.

    Raises `ProbeNotPossible` when this machine is out of descriptors, memory or ports, or when
    this process was too busy to see an answer in time.
    """
    deadline = asyncio.get_running_loop().time() + check.timeout
    try:
        async with asyncio.timeout_at(deadline):
            reader, writer = await asyncio.open_connection(address.host, address.port, limit=MAX_STATUS_LINE)
    except OSError as error:
        return _connect_failure(error, check, deadline)
    try:
        return await _ask(reader, writer, address, check, deadline) if check.http_path is not None else ""
    finally:
        writer.close()


def _connect_failure(error: OSError, check: HealthCheck, deadline: float) -> str:
    if isinstance(error, TimeoutError):
        _raise_if_late(deadline)
        return f"connect timed out after {format_duration(check.timeout)}"
    if error.errno in _OUR_TROUBLE:
        raise ProbeNotPossible(os.strerror(error.errno).lower()) from error
    if isinstance(error, ConnectionRefusedError):
        return "connect refused"
    return f"connect failed: {_words(error)}"


async def _ask(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    address: SocketAddress,
    check: HealthCheck,
    deadline: float,
) -> str:
    try:
        async with asyncio.timeout_at(deadline):
            writer.write(_request(address, check))
            line = await reader.readuntil(b"\n")
    except TimeoutError:
        _raise_if_late(deadline)
        return f"no answer within {format_duration(check.timeout)}"
    except asyncio.IncompleteReadError as error:
        return "closed within the status line" if error.partial else "closed before a status line"
    except asyncio.LimitOverrunError:
        return "the answer is not HTTP"
    except OSError as error:
        return _words(error)
    await _drop_rest(reader)
    return _judge(line, check)


def _request(address: SocketAddress, check: HealthCheck) -> bytes:
    return (
        f"GET {check.http_path} HTTP/1.1\r\nHost: {check.http_host or address}\r\n"
        f"User-Agent: meshproxy-health/{__version__}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    ).encode()


def _judge(line: bytes, check: HealthCheck) -> str:
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        return "the answer is not HTTP"
    status = int(match[1])
    if any(low <= status <= high for low, high in check.expected_statuses):
        return ""
    expected = ", ".join(f"{low}-{high}" if low != high else str(low) for low, high in check.expected_statuses)
    return f"HTTP {status}, expected {expected}"


async def _drop_rest(reader: asyncio.StreamReader) -> None:
    try:
        async with asyncio.timeout(LINGER):
            left = MAX_REST
            while left > 0 and (data := await reader.read(left)):
                left -= len(data)
    except OSError:  # TimeoutError is one
        pass


def _raise_if_late(deadline: float) -> None:
    """The answer may have been there all the time: a loop that stood still runs timers before readers."""
    late = asyncio.get_running_loop().time() - deadline
    if late > LATENESS:
        raise ProbeNotPossible(f"this process was busy, its clock ran out {format_duration(round(late, 3))} late")


def _words(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno else str(error)
