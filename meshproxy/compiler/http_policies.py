"""What a TrafficPolicy and the Proxy document say about HTTP → listeners and clusters."""

from __future__ import annotations

from typing import TypeVar

from meshproxy.resources import Proxy, TrafficPolicy
from meshproxy.resources.http_policy import PolicyHTTP
from meshproxy.snapshot.http import DEFAULT_HTTP, HTTPListener

T = TypeVar("T")
_OF_NO_POLICY = PolicyHTTP()


def http_listener(policy: TrafficPolicy | None, proxy: Proxy) -> HTTPListener:
    """What a listener asks of its clients: each thing as `policy` says, or else `proxy`."""
    own = policy.spec.http if policy is not None else _OF_NO_POLICY
    default = proxy.spec.http
    listener = HTTPListener(
        trusted_proxies=_first(own.trusted_proxies, default.trusted_proxies),
        max_header_bytes=int(_first(own.max_header_bytes, default.max_header_bytes)),
        max_headers=_first(own.max_headers, default.max_headers),
        header_timeout=float(_first(own.header_timeout, default.header_timeout)),
        idle_timeout=float(_first(own.idle_timeout, default.idle_timeout)),
        stream_idle_timeout=float(_first(own.stream_idle_timeout, default.stream_idle_timeout)),
        max_requests_per_connection=own.max_requests_per_connection or default.max_requests_per_connection,
    )
    return DEFAULT_HTTP if listener == DEFAULT_HTTP else listener  # which an encoder leaves out


def _first(own: T | None, default: T) -> T:
    return default if own is None else own
