"""Clients that come back to the endpoint they had: session persistence and cookies to hash on (GEP-1619).

A token is ``<endpoint>.<issued>.<used>``: a hash of cluster and endpoint, so that it tells no address and every proxy
understands it, and two Unix times in seconds (hexadecimal).
"""

from __future__ import annotations

from typing import NamedTuple

from meshproxy.dataplane.cluster import Cluster
from meshproxy.dataplane.http.header_edits import field
from meshproxy.dataplane.http.pool import endpoint_token
from meshproxy.dataplane.upstream import Upstream
from meshproxy.protocols.http1.request import RequestHead
from meshproxy.routing.cookies import cookie_value
from meshproxy.routing.query import query_value
from meshproxy.snapshot.http import HashOn, HashSource
from meshproxy.snapshot.routes import PersistenceKind, SessionPersistence


class Token(NamedTuple):
    """Who a client goes to, and since when."""

    endpoint: str
    issued: int
    used: int

    def encode(self) -> bytes:
        return f"{self.endpoint}.{self.issued:x}.{self.used:x}".encode()


class Persistence:
    """Reads and writes a rule's tokens."""

    __slots__ = ("_config", "_name")

    def __init__(self, config: SessionPersistence) -> None:
        self._config = config
        self._name = config.name.encode()

    def token_of(self, head: RequestHead, wall: float) -> Token | None:
        """The token that a request shows, if it is one and still holds at `wall` (Unix time)."""
        if self._config.kind is PersistenceKind.COOKIE:
            cookies = head.header(b"cookie")
            value = cookie_value(cookies, self._name) if cookies is not None else None
        else:
            value = head.header(self._name.lower())
        if value is None or len(value) > 64:
            return None
        try:
            endpoint, issued, used = value.decode("ascii").split(".")
            token = Token(endpoint, int(issued, 16), int(used, 16))
        except ValueError:
            return None
        config = self._config
        if config.absolute_timeout is not None and wall - token.issued > config.absolute_timeout:
            return None
        if config.idle_timeout is not None and wall - token.used > config.idle_timeout:
            return None
        return token

    def response_field(
        self, token: Token | None, cluster: Cluster, upstream: Upstream, wall: float, *, secure: bool
    ) -> bytes:
        """The field line that tells a client its token; empty where the one it showed is still right.

        `secure`: the client came by TLS, and is to show a cookie by TLS only (GEP-1619).
        """
        endpoint = endpoint_token(cluster.name, upstream.key)
        now = int(wall)
        known = token is not None and token.endpoint == endpoint
        if known and self._config.idle_timeout is None:
            return b""
        issued = token.issued if token is not None and known else now
        value = Token(endpoint, issued, now).encode()
        if self._config.kind is PersistenceKind.HEADER:
            return field(self._name, value)
        age = None
        if self._config.permanent and self._config.absolute_timeout is not None:
            age = max(0, int(issued + self._config.absolute_timeout - now))
        return set_cookie(self._name, value, age, secure=secure)


def set_cookie(name: bytes, value: bytes, max_age: int | None, *, secure: bool) -> bytes:
    """A Set-Cookie field line (RFC 6265 §4.1)."""
    attributes = b"; Path=/; HttpOnly; SameSite=Lax"
    if secure:
        attributes += b"; Secure"
    if max_age is not None:
        attributes += b"; Max-Age=%d" % max_age
    return field(b"set-cookie", name + b"=" + value + attributes)


class HashKey(NamedTuple):
    """What of a request is hashed (None: its client's address), and what the response has to say for the next one."""

    text: str | None
    response_field: bytes = b""


NO_KEY = HashKey(None)


def hash_key(hash_on: tuple[HashOn, ...], head: RequestHead, new_value: bytes, *, secure: bool) -> HashKey:
    """By the first of `hash_on` that the request has; `new_value` is for a client that is to be given a cookie.

    `secure` is as for `Persistence.response_field`.
    """
    for each in hash_on:
        name = each.name.encode()
        if each.source is HashSource.HEADER:
            value = head.header(name)
        elif each.source is HashSource.QUERY_PARAM:
            value = query_value(head.query, name)
        else:
            cookies = head.header(b"cookie")
            value = cookie_value(cookies, name) if cookies is not None else None
            if value is None and each.cookie_ttl is not None:
                max_age = int(each.cookie_ttl) or None
                return HashKey(new_value.decode(), set_cookie(name, new_value, max_age, secure=secure))
        if value is not None:
            return HashKey(value.decode("latin-1"))
    return NO_KEY
