"""Cross-origin requests (Fetch standard §3.2; Gateway API `HTTPCORSFilter`, GEP-1767)."""

from __future__ import annotations

import re

from meshproxy.dataplane.http.header_edits import field
from meshproxy.protocols.http1.request import RequestHead
from meshproxy.snapshot.routes import CORS


class CORSPolicy:
    """Answers preflights, and says on responses who may read them."""

    __slots__ = ("_any", "_credentials", "_exposed", "_headers", "_max_age", "_methods", "_origins")

    def __init__(self, config: CORS) -> None:
        self._any = "*" in config.allow_origins
        patterns = (re.escape(each.lower()).replace(r"\*", r"[^/:]+") for each in config.allow_origins)
        self._origins = re.compile("|".join(patterns).encode() or b"(?!)")
        self._credentials = config.allow_credentials
        self._methods = ", ".join(config.allow_methods).encode()
        self._headers = ", ".join(config.allow_headers).encode()
        self._exposed = ", ".join(config.expose_headers).encode()
        self._max_age = b"%d" % config.max_age

    def _allows(self, origin: bytes) -> bool:
        return self._any or self._origins.fullmatch(origin.lower()) is not None

    def _origin_fields(self, origin: bytes) -> bytes:
        if self._any and not self._credentials:
            return field(b"access-control-allow-origin", b"*")
        credentials = field(b"access-control-allow-credentials", b"true") if self._credentials else b""
        return field(b"access-control-allow-origin", origin) + field(b"vary", b"origin") + credentials

    def preflight(self, head: RequestHead) -> bytes | None:
        """The field lines, each with its line end, that answer a preflight; None where the request is none.

        An origin that is not allowed gets none of them, which to a browser means no.
        """
        if head.method != b"OPTIONS":
            return None
        origin, method = head.header(b"origin"), head.header(b"access-control-request-method")
        if origin is None or method is None:
            return None
        if not self._allows(origin):
            return b""
        lines = self._origin_fields(origin)
        methods = self._wildcard(self._methods, method)
        if methods:
            lines += field(b"access-control-allow-methods", methods)
        asked = head.header(b"access-control-request-headers") or b""
        headers = self._wildcard(self._headers, asked)
        if headers:
            lines += field(b"access-control-allow-headers", headers)
        return (lines + field(b"access-control-max-age", self._max_age))[2:] + b"\r\n"

    def _wildcard(self, allowed: bytes, asked: bytes) -> bytes:
        """``*`` means nothing to a browser that sends credentials: then what was asked for is repeated."""
        return asked if allowed == b"*" and self._credentials else allowed

    def response_fields(self, head: RequestHead) -> bytes:
        """The field lines for the response to an actual request; empty where its origin is not allowed, or none."""
        origin = head.header(b"origin")
        if origin is None or not self._allows(origin):
            return b""
        exposed = field(b"access-control-expose-headers", self._exposed) if self._exposed else b""
        return self._origin_fields(origin) + exposed
