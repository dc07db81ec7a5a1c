"""URLs as spans and log records have them (OpenTelemetry's HTTP conventions, ``url.full`` and ``url.query``)."""

from __future__ import annotations

import re

_SECRETS = re.compile(rb"(^|&)(AWSAccessKeyId|Signature|sig|X-Goog-Signature)=[^&]*")
"""The values that the conventions have taken out: whoever has them can do what the URL was signed for."""
_DEFAULT_PORTS = {"http": 80, "https": 443}


def redacted(query: bytes) -> bytes:
    """`query` without the signatures in it."""
    return _SECRETS.sub(rb"\1\2=REDACTED", query)


def full_url(scheme: str, authority: bytes, path: bytes, query: bytes | None) -> bytes:
    """An absolute URL."""
    url = b"%b://%b%b" % (scheme.encode(), authority, path)
    return url if query is None else url + b"?" + redacted(query)


def host_and_port(authority: str, scheme: str) -> tuple[str, int | None]:
    """The parts of a valid authority; the scheme's port where it has none. An IPv6 address is without brackets."""
    host, colon, port = authority.rpartition(":")
    if not colon or not port.isdigit() or authority.endswith("]"):
        host, port = authority.removesuffix(":"), ""
    return host.strip("[]"), int(port) if port else _DEFAULT_PORTS.get(scheme)
