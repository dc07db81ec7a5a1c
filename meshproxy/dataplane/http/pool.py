"""The HTTP connections of one cluster, and how many requests may be retries."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Final

from meshproxy.base.stable_hash import stable_hash
from meshproxy.dataplane.http.upstream_connection import UpstreamConnection
from meshproxy.dataplane.reactor import Reactor
from meshproxy.dataplane.stream import Stream
from meshproxy.dataplane.upstream import Upstream

if TYPE_CHECKING:
    from meshproxy.dataplane.cluster import Cluster
    from meshproxy.dataplane.http.attempt import Attempt

SWEEPS: Final = 4
"""Looks in one idle timeout: an idle connection is closed after 1 to 1.25 times the timeout."""
OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def endpoint_token(cluster: str, endpoint_id: str) -> str:
    """What stands for an endpoint in a client's hands: 16 hexadecimal digits that tell no address."""
    return f"{stable_hash(f'{cluster}|{endpoint_id}'):016x}"


class Pool:
    """Owns the idle connections, by endpoint id, the one that was used last at the end.

    Idle connections hold descriptors of the worker's budget; one that is used is covered by its client's.
    """

    reactor: Reactor
    """Set before the first connection."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.retries = 0
        """Retries under way."""
        self.generation = 0
        """Connections of an earlier one serve no further request."""
        self._idle: dict[str, list[UpstreamConnection]] = {}
        self._idle_count = 0
        self._sweeping = False
        self._tokens: dict[str, str] = {}
        self._tokens_of: dict[str, Upstream] | None = None

    def idle_at(self, endpoint_id: str) -> int:
        """How many connections to an endpoint are idle."""
        return len(self._idle.get(endpoint_id, ()))

    # -- connections ---------------------------------------------------------------------

    def take(self, upstream: Upstream, taker: Attempt) -> UpstreamConnection | None:
        """An idle connection to `upstream`, if there is one."""
        idle = self._idle.get(upstream.key)
        if not idle:
            return None
        connection = idle.pop()
        self._leave_idle(connection)
        connection.taker = taker
        connection.upstream = upstream  # the endpoint's object now: it may have been replaced
        return connection

    def _leave_idle(self, connection: UpstreamConnection) -> None:
        connection.is_idle = False
        self._idle_count -= 1
        self.reactor.budget.give_back(1)

    def open(self, upstream: Upstream, taker: Attempt) -> UpstreamConnection:
        """A new connection, yet to be connected; raises `OSError` where the system has no socket."""
        limit = self.cluster.config.max_connections
        if limit is not None and self._idle_count and self.cluster.open + self._idle_count > limit:
            self._close_oldest()
        sock = self._new_socket(upstream)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return UpstreamConnection(self, upstream, sock, taker)

    def _new_socket(self, upstream: Upstream) -> socket.socket:
        kind = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
        try:
            return socket.socket(upstream.family, kind)
        except OSError as error:
            if error.errno not in OUT_OF_DESCRIPTORS or not self._idle_count:
                raise
        self._close_oldest()
        return socket.socket(upstream.family, kind)

    def renew(self) -> None:
        """Keep none of the connections there are: their security is out of date."""
        self.generation += 1
        self.close_idle()

    def adopt(self, upstream: Upstream, sock: Stream) -> None:
        """Take a connected socket in as an idle connection."""
        connection = UpstreamConnection(self, upstream, sock, None)
        connection.watch()
        connection.release()

    def connected(self, connection: UpstreamConnection) -> None:
        """A connection opened. (Only a response says that the endpoint works: many hang up on every request.)"""
        connection.upstream.connections += 1

    def keep(self, connection: UpstreamConnection) -> bool:
        """Keep a connection for the next request, if it may be used for one more."""
        config = self.cluster.config
        most = config.max_requests_per_connection
        if (most is not None and connection.served >= most) or config.send_proxy_protocol:
            return False
        if connection.generation != self.generation or connection.upstream.removed:
            return False
        if not self.reactor.budget.has_room(1):
            return False
        self.reactor.budget.take(1)
        connection.is_idle = True
        connection.idle_since = self.reactor.time
        self._idle.setdefault(connection.upstream.key, []).append(connection)
        self._idle_count += 1
        if not self._sweeping:
            self._sweeping = True
            self.reactor.wheel.schedule(config.pool_idle_timeout / SWEEPS, self._sweep)
        return True

    def closed(self, connection: UpstreamConnection) -> None:
        """A connection is gone."""
        if connection.is_idle:
            key = connection.upstream.key
            self._idle[key].remove(connection)
            self._leave_idle(connection)
            self.cluster.touch(key)

    def _sweep(self) -> None:
        """Close what was idle for too long: it stands at the beginning of its list."""
        too_old = self.reactor.now() - self.cluster.config.pool_idle_timeout
        for key, idle in list(self._idle.items()):
            while idle and idle[0].idle_since <= too_old:
                idle[0].close()
            if not idle:
                self._idle.pop(key, None)
        self._sweeping = bool(self._idle_count)
        if self._sweeping:
            self.reactor.wheel.schedule(self.cluster.config.pool_idle_timeout / SWEEPS, self._sweep)

    def _close_oldest(self) -> None:
        firsts = [idle[0] for idle in self._idle.values() if idle]
        if firsts:
            min(firsts, key=_idle_since).close()

    def endpoint_gone(self, endpoint_id: str) -> None:
        """An endpoint left: nobody will ask for its connections."""
        for connection in tuple(self._idle.get(endpoint_id, ())):
            connection.close()

    def close_idle(self) -> None:
        """Close every idle connection: the proxy drains, or the cluster is gone."""
        for idle in list(self._idle.values()):
            for connection in tuple(idle):
                connection.close()

    # -- tokens --------------------------------------------------------------------------

    def upstream_by_token(self, token: str) -> Upstream | None:
        """The endpoint whose `endpoint_token` is `token`, if it is there and may be used."""
        upstreams = self.cluster.upstreams
        if self._tokens_of is not upstreams:  # a changed membership is another dictionary
            self._tokens_of = upstreams
            self._tokens = {endpoint_token(self.cluster.name, key): key for key in upstreams}
        upstream = upstreams.get(self._tokens.get(token, ""))
        return upstream if upstream is not None and upstream.available and upstream.weight else None

    # -- retries -------------------------------------------------------------------------

    def may_retry(self) -> bool:
        """Whether one more retry is within the circuit breaker or the budget (Envoy `RetryBudget`)."""
        config = self.cluster.config
        if config.max_retries is not None:
            return self.retries < config.max_retries
        return self.retries < max(config.retry_budget_min, config.retry_budget_percent * self.cluster.open / 100)


def _idle_since(connection: UpstreamConnection) -> float:
    return connection.idle_since
