"""Asks a Consul agent about Connect (developer.hashicorp.com/consul/api-docs/agent/connect)."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from meshproxy.identity.sources.files import read_file
from meshproxy.identity.svid import IdentityError
from meshproxy.snapshot.identity import FromConsul

WAIT = 300.0
"""Seconds that a blocking query may take; Consul adds a sixteenth of it at random."""
GRACE = 10.0
MAX_ANSWER = 1024 * 1024

T = TypeVar("T")


class Root(msgspec.Struct, frozen=True, rename="pascal"):
    root_cert: str
    intermediate_certs: tuple[str, ...] | None = None


class Roots(msgspec.Struct, frozen=True, rename="pascal"):
    """Those that are active and those that were, until Consul forgets them."""

    trust_domain: str
    roots: tuple[Root, ...]


class Leaf(msgspec.Struct, frozen=True):
    certificate: str = msgspec.field(name="CertPEM")
    key: str = msgspec.field(name="PrivateKeyPEM")


class ConsulAgent:
    """One agent; `token` is used where the settings have no token file. Every failure is an `IdentityError`."""

    def __init__(self, settings: FromConsul, token: str) -> None:
        self._address = settings.address
        self._token_file = Path(settings.token_file) if settings.token_file else None
        self._token = token
        self._is_unix = settings.address.startswith("unix://")
        self._base = "http://consul" if self._is_unix else settings.address

    def session(self) -> aiohttp.ClientSession:
        """To be closed by its owner."""
        path = self._address.removeprefix("unix://")
        connector = aiohttp.UnixConnector(path) if self._is_unix else aiohttp.TCPConnector()
        return aiohttp.ClientSession(connector=connector)

    async def roots(self, session: aiohttp.ClientSession, index: int) -> tuple[Roots, int]:
        """The roots, once they are others than those of `index`; 0 for now."""
        return await self._ask(session, "/v1/agent/connect/ca/roots", index, Roots)

    async def leaf(self, session: aiohttp.ClientSession, service: str, index: int) -> tuple[Leaf, int]:
        """The certificate of a service, which the agent renews, and its key."""
        return await self._ask(session, f"/v1/agent/connect/ca/leaf/{quote(service, safe='')}", index, Leaf)

    async def _ask(self, session: aiohttp.ClientSession, path: str, index: int, kind: type[T]) -> tuple[T, int]:
        query = {"index": str(index), "wait": f"{WAIT:.0f}s"} if index else {}
        token = read_file(self._token_file).decode(errors="replace").strip() if self._token_file else self._token
        headers = {"X-Consul-Token": token} if token else {}
        total = WAIT * 17 / 16 + GRACE if index else GRACE
        timeout = aiohttp.ClientTimeout(total=total, connect=GRACE)
        try:
            async with session.get(
                self._base + path, params=query, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                content = await answer.content.read(MAX_ANSWER)
                new_index = answer.headers.get("X-Consul-Index", "")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            reason = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
            raise IdentityError(f"the Consul agent at {self._address} does not answer: {reason}") from None
        if answer.status != 200:
            said = content[:200].decode(errors="replace").strip() or answer.reason
            problem = f"the Consul agent at {self._address} answers HTTP {answer.status}: {said}{_hint(said)}"
            raise IdentityError(problem)
        try:
            return msgspec.json.decode(content, type=kind), int(new_index) if new_index.isdecimal() else 0
        except msgspec.DecodeError as error:
            raise IdentityError(f"the Consul agent at {self._address} answers what Consul does not: {error}") from None


def _hint(said: str | None) -> str:
    text = (said or "").lower()
    if "permission denied" in text or "acl not found" in text:
        return "; the token must be allowed to service:write that service"
    if "connect" in text and "enabled" in text:
        return "; servers need connect { enabled = true }"
    return ""
