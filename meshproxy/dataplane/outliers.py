"""Counts what goes wrong in a row at each endpoint (Envoy `OutlierDetection`); the supervisor ejects."""

from __future__ import annotations

from collections.abc import Callable

from meshproxy.dataplane.upstream import Upstream
from meshproxy.snapshot.model import OutlierDetection

FailingSink = Callable[[str, Upstream, int, str], None]
"""Called with (cluster name, upstream, how many times in a row, what) when that was as often as the policy allows."""
GATEWAY_ERRORS = (502, 503, 504)


class OutlierCounts:
    """What a cluster's policy says of failures; the counts themselves are the upstreams' own."""

    __slots__ = ("_5xx", "_cluster", "_failures", "_gateway_errors", "_report")

    def __init__(self, cluster: str, config: OutlierDetection | None, report: FailingSink) -> None:
        self._cluster = cluster
        self._report = report
        self._failures = config.consecutive_failures if config is not None else 0
        self._5xx = (config.consecutive_5xx or 0) if config is not None else 0
        self._gateway_errors = (config.consecutive_gateway_errors or 0) if config is not None else 0

    def failed(self, upstream: Upstream, what: str) -> None:
        """A connection did not open, or a request got no response."""
        upstream.failures += 1
        if self._failures and upstream.failures % self._failures == 0:
            self._report(self._cluster, upstream, upstream.failures, what)

    def server_error(self, upstream: Upstream, status: int) -> None:
        """A response of 500 to 599."""
        upstream.failures = 0
        upstream.server_errors += 1
        if self._5xx and upstream.server_errors % self._5xx == 0:
            what = f"responses of 500 to 599 in a row, the last one {status}"
            self._report(self._cluster, upstream, upstream.server_errors, what)
        if status not in GATEWAY_ERRORS:
            upstream.gateway_errors = 0
            return
        upstream.gateway_errors += 1
        if self._gateway_errors and upstream.gateway_errors % self._gateway_errors == 0:
            what = f"gateway errors in a row, the last one {status}"
            self._report(self._cluster, upstream, upstream.gateway_errors, what)
