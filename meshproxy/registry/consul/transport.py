"""How requests get to a Consul agent: TCP, TLS or a Unix socket; bounded in time and size.

py-consul knows Consul's API, and this carries it. Its own asyncio transport has no Unix sockets, no
server name and no client certificates without a warning of aiohttp's, and reads answers of any size.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
from consul.base import HTTPClient, Response

from meshproxy.resources.sources import ConsulSource, ConsulTLS

MAX_BODY = 256 * 2**20
"""Bytes of an answer: 5,000 instances of one service are about five million."""
CONNECT_TIMEOUT = 5.0
REQUEST_TIMEOUT = 10.0
"""Seconds for an answer, beyond the `wait` of a blocking query. Consul adds up to a sixteenth to that."""
UNIX = "unix://"
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
"""Consul writes characters as they are, so that this is seldom found."""

Params = list[tuple[str, Any]]
Stamp = tuple[int, int]
"""A file's time and number: another one is another content."""


class Transport(HTTPClient):  # type: ignore[misc] # py-consul has no types
    """py-consul's `HTTPClient`, asynchronous. `token` gives the ACL token of each request, empty for none.

    Raises `aiohttp.ClientError`, `OSError` (of files, too), `TimeoutError` and `ValueError` (of what is no text).
    """

    def __init__(self, spec: ConsulSource, token: Callable[[], str]) -> None:
        super().__init__()
        self._unix = spec.address.removeprefix(UNIX) if spec.address.startswith(UNIX) else ""
        self.base_uri = "http://localhost" if self._unix else spec.address.rstrip("/")
        self._tls = _TLSFiles(spec.tls) if spec.tls is not None else None
        self._token = token
        self._enterprise = [
            (name, value) for name, value in (("ns", spec.consul_namespace), ("partition", spec.partition)) if value
        ]
        self._session: aiohttp.ClientSession | None = None

    def get(
        self, callback: Callable[[Any], Any], path: str, params: Params | None = None, **_: object
    ) -> Awaitable[Any]:
        return self._request(callback, "GET", path, params)

    def put(
        self,
        callback: Callable[[Any], Any],
        path: str,
        params: Params | None = None,
        data: str | bytes = "",
        **_: object,
    ) -> Awaitable[Any]:
        return self._request(callback, "PUT", path, params, data)

    def post(
        self,
        callback: Callable[[Any], Any],
        path: str,
        params: Params | None = None,
        data: str = "",
        **_: object,
    ) -> Awaitable[Any]:
        return self._request(callback, "POST", path, params, data)

    def delete(
        self,
        callback: Callable[[Any], Any],
        path: str,
        params: Params | None = None,
        data: str | bytes = "",
        **_: object,
    ) -> Awaitable[Any]:
        return self._request(callback, "DELETE", path, params, data)

    async def close(self) -> None:
        """Let the connections go; the next request makes new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _request(
        self,
        callback: Callable[[Any], Any],
        method: str,
        path: str,
        params: Params | None,
        data: str | bytes | None = None,
    ) -> Any:
        if self._tls is not None:
            self._tls.refresh()
        if self._session is None:
            self._session = self._connect()
        token = self._token()
        async with self._session.request(
            method,
            self.uri(path, [*(params or ()), *self._enterprise]),
            data=data,
            headers={"X-Consul-Token": token} if token else None,
            timeout=aiohttp.ClientTimeout(total=_deadline(dict(params or ())), sock_connect=CONNECT_TIMEOUT),
            server_hostname=self._tls.server_name if self._tls is not None else None,
            allow_redirects=False,
        ) as answer:
            body = await _read(answer)
            # What is not UTF-8 is no JSON (RFC 8259 §8.1); of an error's reason the rest is worth reading.
            text = body.decode(errors="strict" if answer.status < 400 else "replace")
            if answer.status < 400 and _SURROGATE.search(text):
                _check_characters(text)
            return callback(Response(answer.status, answer.headers, text))

    def _connect(self) -> aiohttp.ClientSession:
        connector: aiohttp.BaseConnector
        if self._unix:
            connector = aiohttp.UnixConnector(self._unix, limit=0)
        else:
            connector = aiohttp.TCPConnector(limit=0, ssl=self._tls.context if self._tls is not None else True)
        return aiohttp.ClientSession(connector=connector, trust_env=False)


class _TLSFiles:
    """A context that follows its files: certificates are renewed while connections go on."""

    def __init__(self, tls: ConsulTLS) -> None:
        self._tls = tls
        self._known: tuple[Stamp, ...] = ()
        self.context = ssl.create_default_context() if tls.ca_file is None else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    @property
    def server_name(self) -> str | None:
        return self._tls.server_name

    def refresh(self) -> None:
        """Read the files where they are others. Raises `OSError`, of which `ssl.SSLError` is one."""
        tls = self._tls
        stamps = tuple(_stamp(path) for path in (tls.ca_file, tls.cert_file, tls.key_file) if path is not None)
        if stamps == self._known:
            return
        if tls.ca_file is not None:
            self.context.load_verify_locations(tls.ca_file)
        if tls.cert_file is not None:
            self.context.load_cert_chain(tls.cert_file, tls.key_file)
        self._known = stamps


def _deadline(params: Mapping[str, Any]) -> float:
    wait = str(params.get("wait", "0s")).removesuffix("s")
    return float(wait) * 17 / 16 + REQUEST_TIMEOUT


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY:
            raise aiohttp.ClientPayloadError(f"the answer is larger than {MAX_BODY // 2**20} MiB")
    return bytes(body)


def _check_characters(text: str) -> None:
    """Raise `UnicodeEncodeError` where JSON escapes half of a character (RFC 8259 §8.2), which nobody can pass on."""
    json.dumps(json.loads(text), ensure_ascii=False).encode()


def _stamp(path: str | Path) -> Stamp:
    status = Path(path).stat()
    return status.st_mtime_ns, status.st_ino


class TokenFile:
    """An ACL token from a file, read again when the file changes."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._known: Stamp | None = None
        self._token = ""

    def __call__(self) -> str:
        """Raises `OSError` where the file cannot be read."""
        stamp = _stamp(self._path)
        if stamp != self._known:
            self._token = self._path.read_text(errors="replace").strip()
            self._known = stamp
        return self._token
