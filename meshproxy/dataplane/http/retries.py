"""Whether a request is tried once more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from meshproxy.dataplane.cluster import Cluster
from meshproxy.dataplane.http.request_body import MAX_KEPT, KeptBody
from meshproxy.dataplane.upstream import Upstream
from meshproxy.snapshot.routes import RetryCondition, RetryPolicy

IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
"""RFC 9110 §9.2.2."""
STALE_TRIES = 3
"""Kept connections that may turn out to be closed before the endpoint counts as failing."""
MAX_BACKOFF = 10
"""The longest pause between tries, in multiples of the first (Envoy: 10 times `base_interval`)."""


class Retries:
    """The tries of one request so far. `count` are retries by policy, `tried` the endpoints to be passed over."""

    __slots__ = ("_body", "_connect_failures", "_is_idempotent", "_policy", "_stale", "count", "tried")

    def __init__(self, body: KeptBody) -> None:
        self._body = body
        self._policy: RetryPolicy | None = None
        self._is_idempotent = False
        self.begin(None, b"")

    def begin(self, policy: RetryPolicy | None, method: bytes) -> None:
        """A new request."""
        self._policy = policy
        self._is_idempotent = method in IDEMPOTENT
        self.count = self._connect_failures = self._stale = 0
        self.tried: tuple[Upstream, ...] = ()

    @property
    def per_try_timeout(self) -> float | None:
        return self._policy.per_try_timeout if self._policy is not None else None

    def may_resend(self, length: int) -> bool:
        """Whether a request with a body of `length` can be sent again, whatever becomes of the connection it takes."""
        return self._is_idempotent and 0 <= length <= MAX_KEPT

    def replaces_stale(self) -> bool:
        """Whether a try on a connection that was closed already may be forgotten."""
        self._stale += 1
        return self._may_send_again() and self._stale <= STALE_TRIES

    def moves_on(self, cluster: Cluster, upstream: Upstream) -> bool:
        """Whether another endpoint is tried because `upstream` could not be connected to, as L4 does it."""
        if self._connect_failures >= cluster.config.connect_retries:
            return False
        self._connect_failures += 1
        self.tried = (*self.tried, upstream)
        return True

    def follows_failure(self, cluster: Cluster, flag: str) -> bool:
        """Whether one more try follows a failed one. Any method may be tried where nothing of it was sent (UF)."""
        if flag == "UF":
            return self._body.is_kept and self._allows(RetryCondition.CONNECT_FAILURE, cluster)
        return flag == "UC" and self._may_send_again() and self._allows(RetryCondition.RESET, cluster)

    def follows_timeout(self, cluster: Cluster) -> bool:
        return self._may_send_again() and self._allows(RetryCondition.TIMEOUT, cluster)

    def follows_status(self, cluster: Cluster, status: int) -> bool:
        """A status that the policy lists says that any method may be sent again."""
        return self._body.is_kept and self._allows(RetryCondition.STATUS, cluster, status)

    def _may_send_again(self) -> bool:
        return self._is_idempotent and self._body.is_kept

    def _allows(self, condition: RetryCondition, cluster: Cluster, status: int = 0) -> bool:
        """Whether policy, attempts and the cluster's budget allow one more try."""
        policy = self._policy
        if policy is None or condition not in policy.conditions or self.count >= policy.attempts:
            return False
        if status and status not in policy.statuses:
            return False
        return cluster.pool.may_retry()

    def flags(self, flag: str) -> str:
        """`flag`, and that retries did not help."""
        return f"{flag},URX" if self.count else flag

    def begin_retry(self, cluster: Cluster, upstream: Upstream, random: Callable[[], float]) -> float:
        """Count one more try, away from `upstream`; returns the pause before it, in seconds."""
        assert self._policy is not None
        self.count += 1
        if self.count == 1:
            cluster.pool.retries += 1
        self.tried = (*self.tried, upstream)
        return min(1 << (self.count - 1), MAX_BACKOFF) * self._policy.backoff * random()

    def end(self, cluster: Cluster) -> None:
        """The request is over: its retries no longer count as under way."""
        if self.count:
            cluster.pool.retries -= 1
