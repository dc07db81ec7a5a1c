"""The two questions that are asked of a Docker engine: which containers there are, and what happens.

Nothing else is asked, so that a socket proxy that allows ``GET /containers/json`` and ``GET /events`` is
enough. (What ``inspect`` would add, such as the stop signal, is not worth the right to read environments.)
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator, Collection
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import aiohttp

from meshproxy.base.errors import MeshproxyError
from meshproxy.registry.docker.containers import Listing, decode_listing
from meshproxy.registry.docker.events import CONTAINER_ACTIONS, NETWORK_ACTIONS, DockerEvent, EventDecoder
from meshproxy.resources.sources import DockerSource, DockerTLS

CONNECT_TIMEOUT = 5.0
LIST_TIMEOUT = 30.0
"""Seconds for a whole list: an engine under load takes its time, but not for ever."""
MAX_LIST = 256 * 1024 * 1024
"""Bytes of a list; 500 containers are about one megabyte."""

_EVENT_FILTER = json.dumps(
    {"type": ["container", "network"], "event": [*CONTAINER_ACTIONS, *NETWORK_ACTIONS]}, separators=(",", ":")
)


class DockerError(MeshproxyError):
    """The engine did not answer, or not as it should; the message says so to people."""


class DockerClient:
    """A connection to the engine at `source.endpoint`, an asynchronous context manager."""

    def __init__(self, source: DockerSource) -> None:
        self._endpoint = source.endpoint
        parts = urlsplit(source.endpoint)
        self._base = f"http://{parts.netloc}" if parts.netloc else "http://docker"
        connector: aiohttp.BaseConnector
        if parts.scheme == "unix":
            connector = aiohttp.UnixConnector(path=parts.path, limit=0)
        elif source.tls is not None:
            self._base = f"https://{parts.netloc}"
            connector = aiohttp.TCPConnector(ssl=_context(source.tls), limit=0)
        else:
            connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(connector=connector, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()

    async def containers(self, ids: Collection[str] | None) -> Listing:
        """The running containers, of all or of those with `ids`; raises `DockerError`."""
        query = {} if ids is None else {"filters": json.dumps({"id": sorted(ids)}, separators=(",", ":"))}
        timeout = aiohttp.ClientTimeout(total=LIST_TIMEOUT, connect=CONNECT_TIMEOUT)
        try:
            async with self._session.get(f"{self._base}/containers/json", params=query, timeout=timeout) as response:
                await self._check(response)
                return decode_listing(await _read(response))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise self._explained(error) from error

    async def events(self, since: int) -> aiohttp.ClientResponse:
        """The open stream of events, from `since` (nanoseconds since 1970; 0 for now) on; raises `DockerError`."""
        query = {"filters": _EVENT_FILTER}
        if since:
            query["since"] = f"{since // 1_000_000_000}.{since % 1_000_000_000:09}"
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT, sock_connect=CONNECT_TIMEOUT)
        try:
            async with asyncio.timeout(LIST_TIMEOUT):
                response = await self._session.get(f"{self._base}/events", params=query, timeout=timeout)
            await self._check(response)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._explained(error) from error
        return response

    async def read_events(self, response: aiohttp.ClientResponse) -> AsyncIterator[DockerEvent]:
        """What happens; raises `DockerError` when the stream ends."""
        decoder = EventDecoder()
        try:
            async for chunk in response.content.iter_any():
                for event in decoder.feed(chunk):
                    yield event
        except (aiohttp.ClientError, OSError) as error:
            raise self._explained(error) from error
        raise DockerError(f"the Docker engine at {self._endpoint} has ended its stream of events")

    async def _check(self, response: aiohttp.ClientResponse) -> None:
        if response.status == 200:
            return
        text = (await response.content.read(200)).decode("utf-8", "replace").strip()
        response.close()
        hint = " (a socket proxy must allow GET /containers/json and GET /events)" if response.status == 403 else ""
        raise DockerError(
            f"the Docker engine at {self._endpoint} answers {response.url.path} with {response.status}{hint}: {text!r}"
        )

    def _explained(self, error: Exception) -> DockerError:
        reason = str(error) or type(error).__name__
        cause = getattr(error, "os_error", error)
        if isinstance(error, TimeoutError):
            reason = "does not answer in time"
        elif isinstance(cause, PermissionError):
            reason = "permission denied; this user must be in the group that owns the socket (usually docker)"
        elif isinstance(cause, FileNotFoundError):
            reason = "there is no such socket"
        elif isinstance(cause, OSError) and cause.errno and not isinstance(error, aiohttp.ClientSSLError):
            reason = os.strerror(cause.errno).lower()
        return DockerError(f"the Docker engine at {self._endpoint}: {reason}")


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_LIST:
            raise ValueError(f"the list of containers has more than {MAX_LIST} bytes")
    return bytes(body)


def _context(tls: DockerTLS) -> ssl.SSLContext:
    """As the docker program's ``--tlsverify``; raises `DockerError`."""
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
        if tls.cert_file is not None:
            context.load_cert_chain(tls.cert_file, tls.key_file)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(filter(None, (tls.ca_file, tls.cert_file, tls.key_file)))
        raise DockerError(f"TLS to the Docker engine: {files}: {error}") from error
    return context
