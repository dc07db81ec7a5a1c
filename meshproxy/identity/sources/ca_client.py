"""Asks our own CA's server."""

from __future__ import annotations

import os
import ssl
from typing import Any, TypeVar

import aiohttp
import msgspec

from meshproxy.identity.contexts import load_certificate
from meshproxy.identity.svid import IdentityError
from meshproxy.snapshot.identity import Identity

TIMEOUT = aiohttp.ClientTimeout(total=20.0, connect=5.0)
MAX_ANSWER = 256 * 1024
"""Bytes."""

T = TypeVar("T")


class CertificateAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """PEM texts, the leaf first."""

    certificate_chain: str
    roots: str


class _RootsAnswer(msgspec.Struct, frozen=True):
    roots: str


class _ErrorAnswer(msgspec.Struct, frozen=True):
    error: str


class CAClient:
    """One way to be believed: `identity`'s certificate, or `token`. `roots` (PEM) vouch for the server.

    Every failure is an `IdentityError`.
    """

    def __init__(self, url: str, roots: str, identity: Identity | None, token: str = "") -> None:
        self._url = url
        self.token = token
        # Not create_default_context: that trusts the whole Web where `roots` is empty.
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            self._context.load_verify_locations(cadata=roots)
        except (ssl.SSLError, ValueError):
            raise IdentityError(f"the roots that vouch for {url} are not certificates in PEM") from None
        if identity is not None and not token:
            load_certificate(self._context, identity.certificate_chain, identity.private_key)

    async def certificate(self, request: str, lifetime: float | None) -> CertificateAnswer:
        """Have `request` (PKCS #10 in PEM) signed."""
        body = {"request": request} | ({"lifetime": lifetime} if lifetime is not None else {})
        return await self._ask("POST", "/v1/certificates", CertificateAnswer, json=body)

    async def roots(self) -> str:
        """Whom to trust, as PEM."""
        return (await self._ask("GET", "/v1/roots", _RootsAnswer)).roots

    async def _ask(self, method: str, path: str, kind: type[T], **arguments: Any) -> T:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            async with (
                aiohttp.ClientSession(timeout=TIMEOUT, headers=headers) as session,
                session.request(
                    method, self._url + path, ssl=self._context, allow_redirects=False, **arguments
                ) as response,
            ):
                content = await response.content.read(MAX_ANSWER)
                return self._answer(response.status, content, kind)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise IdentityError(f"{self._url} does not answer: {_explained(error)}") from None

    def _answer(self, status: int, content: bytes, kind: type[T]) -> T:
        try:
            if status < 300:
                return msgspec.json.decode(content, type=kind)
            message = msgspec.json.decode(content, type=_ErrorAnswer).error
        except msgspec.DecodeError:
            message = "is this a meshproxy CA?"
        raise IdentityError(f"{self._url} answers HTTP {status}: {message}")


def _explained(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno:
        return os.strerror(error.os_error.errno)
    if isinstance(error, aiohttp.ServerDisconnectedError | ssl.SSLError | ConnectionError):
        # So a server says in TLS 1.3 that it refuses a client's certificate.
        return "it closed the connection; if it no longer trusts our certificate, another token is needed"
    return str(error) or type(error).__name__
