"""One check of one endpoint: a TCP connection, or an HTTP/1.1 request."""

from __future__ import annotations

import asyncio
import errno
import os
import re

from meshproxy import __version__
from meshproxy.base.addresses import SocketAddress, host_port
from meshproxy.base.durations import format_duration
from meshproxy.snapshot.model import HealthCheck

MAX_STATUS_LINE = 8192
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})( [^\r\n]*)?\r?\n")
_OUR_TROUBLE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})


class ProbeNotPossible(Exception):
    """This machine could not check: it says nothing about the endpoint."""


async def probe(address: SocketAddress, check: HealthCheck) -> str:
    """Why the endpoint at `address` failed `check`; empty when it passed.

    Raises `ProbeNotPossible` when this machine is out of descriptors or ports.
    """
    port = check.port if check.port is not None else address.port
    try:
        async with asyncio.timeout(check.timeout):
            reader, writer = await asyncio.open_connection(address.host, port, limit=MAX_STATUS_LINE)
            try:
                if check.http_path is None:
                    return ""
                return await _request(reader, writer, SocketAddress(address.host, port), check)
            finally:
                writer.close()
    except TimeoutError:
        return f"no answer within {format_duration(check.timeout)}"
    except OSError as error:
        if error.errno in _OUR_TROUBLE:
            raise ProbeNotPossible(os.strerror(error.errno)) from error
        return _reason(error)


def _reason(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connect refused"
    return os.strerror(error.errno).lower() if error.errno else str(error)


async def _request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: SocketAddress, check: HealthCheck
) -> str:
    host = check.http_host or host_port(address.host, address.port)
    writer.write(
        f"GET {check.http_path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: meshproxy-health/{__version__}\r\n"
        "Accept: */*\r\nConnection: close\r\n\r\n".encode()
    )
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as error:
        return "closed in the status line" if error.partial else "closed without an answer"
    except asyncio.LimitOverrunError:
        return "the answer is not HTTP"
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        return "the answer is not HTTP"
    status = int(match[1])
    if any(low <= status <= high for low, high in check.expected_statuses):
        return ""
    expected = ", ".join(f"{low}-{high}" if low != high else str(low) for low, high in check.expected_statuses)
    return f"HTTP {status}, expected {expected}"
