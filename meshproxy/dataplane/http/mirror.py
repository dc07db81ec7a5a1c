"""Copies of requests whose answers nobody waits for (Gateway API `HTTPRequestMirrorFilter`).

A request is copied once it is here as a whole and as it goes to its backend. One with a body larger than
`request_body.MAX_KEPT` is not copied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshproxy.dataplane.http.actions import BackendAction
from meshproxy.dataplane.http.deadline import Deadline
from meshproxy.dataplane.http.upstream_connection import Bytes, UpstreamConnection
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
    random = exchange.context.random
    for mirror in backend.mirrors:
        if mirror.share >= 1 or random() < mirror.share:
            upstream = mirror.cluster.pick(exchange.client_address)
            if upstream is not None and not mirror.cluster.is_full:
                data = exchange.upstream_head() + exchange.body.bytes()
                _MirroredRequest(mirror.cluster, upstream, data, exchange.head.method == b"HEAD").start()


class _MirroredRequest:
    """Implements `upstream_connection.ResponseTaker` and `upstream.Attached`."""

    def __init__(self, cluster: Cluster, upstream: Upstream, data: bytes, to_head: bool) -> None:
        self._cluster = cluster
        self.upstream = upstream
        self._data = data
        self._to_head = to_head
        self._reactor = cluster.pool.reactor
        self._deadline = Deadline(self._reactor, self._timed_out)
        self._started = self._reactor.now()
        self._connection: UpstreamConnection | None = None
        self._status = 0

    def start(self) -> None:
        pool = self._cluster.pool
        if not self._reactor.budget.has_room(1):
            return
        self._reactor.budget.take(1)
        self._cluster.open += 1
        self._cluster.acquire(self.upstream)
        self.upstream.attach(self)
        self._deadline.set(self._started + TIMEOUT)
        self._connection = pool.take(self.upstream, self)
        if self._connection is not None:
            self.upstream_connected()
            return
        try:
            self._connection = pool.open(self.upstream, self)
        except OSError:
            self._end()
        else:
            self._connection.connect()

    def upstream_connected(self) -> None:
        assert self._connection is not None
        self._connection.begin(self._to_head)
        self._connection.send(self._data)

    def upload_drained(self) -> None:
        pass

    def response_interim(self, head: ResponseHead) -> None:
        pass

    def response_head(self, head: ResponseHead, body: Bytes, done: bool) -> None:
        self._status = head.status
        self.response_body(body, done)

    def response_body(self, body: Bytes, done: bool) -> None:
        if done:
            self._end(keep=True)

    def upstream_failed(self, flag: str, detail: str) -> None:
        self._connection = None
        if flag == "UF":
            self._cluster.failed(self.upstream, detail)
        self._end()

    def settle(self) -> None:
        """Implements `upstream.Attached`."""
        if self._connection is not None:
            self.upstream.sent += self._connection.sent
            self.upstream.received += self._connection.received
            self._connection.sent = self._connection.received = 0

    def upstream_gone(self, now: float) -> None:
        """Implements `upstream.Attached`."""

    def _timed_out(self) -> None:
        self._end()

    def _end(self, keep: bool = False) -> None:
        self._deadline.cancel()
        self.settle()
        connection, self._connection = self._connection, None
        if connection is not None:
            if keep:
                connection.release()
            else:
                connection.taker = None
                connection.close()
        self.upstream.request_ended(self._status, self._reactor.now() - self._started)
        self.upstream.detach(self)
        self._cluster.release(self.upstream)
        self._cluster.leave()
        self._reactor.budget.give_back(1)
