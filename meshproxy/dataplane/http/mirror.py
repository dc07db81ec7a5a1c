"""Copies of requests whose answers nobody waits for (Gateway API `HTTPRequestMirrorFilter`).

A request is copied once it is here as a whole and as it goes to its backend. One with a body larger than
`request_body.MAX_KEPT` is not copied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshproxy.dataplane.http.actions import BackendAction
from meshproxy.dataplane.http.attempt import Attempt, AttemptOwner
from meshproxy.dataplane.http.deadline import Deadline
from meshproxy.dataplane.http.upstream_connection import Bytes
from meshproxy.dataplane.upstream import Upstream
from meshproxy.protocols.http1.response import ResponseHead

if TYPE_CHECKING:
    from meshproxy.dataplane.cluster import Cluster
    from meshproxy.dataplane.http.exchange import Exchange

TIMEOUT = 15.0
"""Seconds for a copy and its answer (Envoy's default route timeout)."""


def mirror_request(exchange: Exchange, backend: BackendAction) -> None:
    """Send copies of a complete request to those of the backend's mirrors whose turn it is."""
    if not exchange.body.is_kept:
        return
    random = exchange.client.frontend.context.random
    for mirror in backend.mirrors:
        if mirror.share >= 1 or random() < mirror.share:
            upstream = mirror.cluster.pick(exchange.client_address)
            if upstream is not None and not mirror.cluster.is_full:
                data = exchange.upstream_head() + exchange.body.bytes()
                version = mirror.cluster.config.send_proxy_protocol
                header = exchange.proxy_header(version) if version else b""
                _MirroredRequest(mirror.cluster, upstream, header, data, exchange.head.method == b"HEAD").start()


class _MirroredRequest(AttemptOwner):
    """Kept alive by its connection and its timer."""

    def __init__(self, cluster: Cluster, upstream: Upstream, header: bytes, data: bytes, to_head: bool) -> None:
        self._cluster = cluster
        self._upstream = upstream
        self.trace = None
        self._proxy_header = header
        self._data = data
        self._to_head = to_head
        self._reactor = cluster.pool.reactor
        self._attempt = Attempt(self)
        self._deadline = Deadline(self._reactor, self._timed_out)
        self._status = 0
        self._over = False

    def start(self) -> None:
        budget = self._reactor.budget
        if not budget.has_room(1):
            return
        budget.take(1)
        self._cluster.open += 1
        self._deadline.set(self._reactor.time + TIMEOUT)
        self._attempt.begin(self._cluster, self._upstream, self._reactor.time)
        self._attempt.find_connection(True)

    def proxy_header(self, version: int) -> bytes:
        return self._proxy_header

    def connected(self) -> None:
        assert self._attempt.connection is not None
        self._attempt.connection.begin(self._to_head)
        self._attempt.send(self._data)

    def upload_drained(self) -> None:
        pass

    def response_interim(self, head: ResponseHead) -> None:
        pass

    def response_head(self, head: ResponseHead, body: Bytes, done: bool) -> None:
        self._status = head.status
        if head.status == 101:
            self._end(False)
        else:
            self.response_body(body, done)

    def response_body(self, body: Bytes, done: bool) -> None:
        if done:
            self._end(True)

    def attempt_failed(self, flag: str, detail: str, stale: bool) -> None:
        self._end(False)

    def _timed_out(self) -> None:
        self._attempt.timed_out()
        self._end(False)

    def _end(self, keep: bool) -> None:
        if self._over:
            return
        self._over = True
        self._deadline.close()
        self._attempt.end(self._status, keep)
        self._attempt.let_go()
        self._cluster.leave()
        self._reactor.budget.give_back(1)
