"""Requests that a backend's limits refuse before they wait for an endpoint."""

from __future__ import annotations

from typing import NamedTuple

from meshproxy.dataplane.cluster import Cluster


class Refusal(NamedTuple):
    """The answer: `fields` are complete field lines, `flag` and `detail` are for the log."""

    status: int
    flag: str
    detail: str
    fields: bytes = b""


def refused(cluster: Cluster, size: int, now: float) -> Refusal | None:
    """Why a request with a body of at least `size` bytes gets no turn: the body's size, or the rate limit."""
    if not cluster.has_http_limits:
        return None
    most = cluster.config.max_request_body
    if most is not None and size > most:
        return Refusal(413, "PL", f"the body is larger than {most} bytes")
    wait = cluster.limiter.take(now) if cluster.limiter is not None else 0.0
    if wait > 0:
        return Refusal(429, "RL", "", b"retry-after: %d\r\n" % -int(-wait // 1))
    return None
