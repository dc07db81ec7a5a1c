"""One Consul agent, asked through py-consul; what goes wrong is one kind of error that says what would help."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec
from consul.base import Consul
from consul.callback import CB
from consul.exceptions import ACLDisabled, ACLPermissionDenied, ConsulException

from meshproxy.base.errors import MeshproxyError
from meshproxy.registry.consul.transport import TokenFile, Transport
from meshproxy.resources.sources import ConsulSource

T = TypeVar("T")
Call = Callable[[Any], Awaitable[Any]]
"""Asks a `Consul` something: ``lambda consul: consul.catalog.services()``."""

DEFAULT_PORT = 8500
MAX_REASON = 200
"""Characters of an agent's own words: a page of HTML is no reason."""


class ConsulError(MeshproxyError):
    """The agent did not do what it was asked; the message says why, for people."""


class _Api(Consul):  # type: ignore[misc] # py-consul has no types
    """py-consul over our transport, which knows the token better than the environment does."""

    def __init__(self, spec: ConsulSource, transport: Transport) -> None:
        self._transport = transport
        super().__init__("unused", 1, dc=spec.datacenter, scheme="http", verify=True)
        self.token = None

    def http_connect(self, *_: object, **__: object) -> Transport:
        return self._transport


class ConsulAgent:
    """Owns the connections to the agent of `spec`. `default_token` is used where `spec` names no file."""

    def __init__(self, spec: ConsulSource, default_token: str = "") -> None:
        token = TokenFile(spec.token_file) if spec.token_file else lambda: default_token
        self.address = spec.address
        self._transport = Transport(spec, token)
        self._api = _Api(spec, self._transport)

    async def query(self, call: Call, expected: type[T]) -> tuple[int, T]:
        """Ask for something with an index: (the index, the value, which is of type `expected`).

        The index is what a blocking query goes on from, 0 where the agent named none that can be used. Raises
        `ConsulError`.
        """
        index, value = await self.ask(call)
        return _index(index), self._converted(value, expected)

    async def query_plain(self, path: str, expected: type[T], params: Iterable[tuple[str, str]] = ()) -> T:
        """Ask for what py-consul does not know. Raises `ConsulError`."""
        params = [*params, ("dc", self._api.dc)] if self._api.dc else [*params]
        return self._converted(await self.ask(lambda consul: consul.http.get(CB.json(), path, params)), expected)

    async def post(self, path: str, body: Mapping[str, Any], expected: type[T]) -> T:
        """Ask by POST for what py-consul does not know. Raises `ConsulError`."""
        data = json.dumps(body)
        return self._converted(await self.ask(lambda consul: consul.http.post(CB.json(), path, data=data)), expected)

    async def ask(self, call: Call) -> Any:
        """Ask for anything. Raises `ConsulError`."""
        try:
            return await call(self._api)
        except TimeoutError as error:
            raise ConsulError(f"{self.address} does not answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ConsulError(f"{self.address} cannot be asked: {_reason(error)}") from error
        except (ACLPermissionDenied, ACLDisabled) as error:
            hint = "tokenFile must hold a token with the rights for this"
            raise ConsulError(f"{self.address} denies it: {_brief(error)}; {hint}") from error
        except (ConsulException, ValueError, RecursionError) as error:
            raise ConsulError(f"{self.address} answered: {_brief(error)}") from error

    def _converted(self, value: Any, expected: type[T]) -> T:
        try:
            return msgspec.convert([] if value is None else value, expected)
        except msgspec.ValidationError as error:
            raise ConsulError(f"{self.address} answered something unexpected: {_brief(error)}") from error

    async def local_address(self) -> str:
        """The address that this machine has towards the agent. Sends nothing. Raises `ConsulError`."""
        url = urlsplit(self.address)
        try:
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(url.hostname, url.port or DEFAULT_PORT, type=socket.SOCK_DGRAM)
            family, _, _, _, peer = found[0]
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect(peer)
                address: str = probe.getsockname()[0]
        except OSError as error:
            raise ConsulError(f"the way to {self.address} is not known: {_brief(error)}") from error
        return address

    async def close(self) -> None:
        """Let the connections go. What is asked later makes new ones."""
        await self._transport.close()


def _index(text: Any) -> int:
    """ "Sanity check index is greater than zero" (Consul, Blocking Queries); 0 asks for everything at once."""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 20 else 0


def _reason(error: aiohttp.ClientError | OSError) -> str:
    """Why a request could not be made, in the system's words and not in a library's."""
    if isinstance(error, aiohttp.ClientConnectorError) and not isinstance(error, aiohttp.ClientSSLError):
        return _reason(error.os_error)
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError | aiohttp.ClientError):
        words = os.strerror(error.errno).lower()
        return f"{error.filename}: {words}" if error.filename else words
    return _brief(error)


def _brief(error: BaseException) -> str:
    text = " ".join((str(error) or type(error).__name__).split())
    text = "".join(each if each.isprintable() else "?" for each in text)
    return text if len(text) <= MAX_REASON else text[: MAX_REASON - 1] + "…"
