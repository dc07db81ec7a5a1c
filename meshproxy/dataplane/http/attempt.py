"""One try of a request: an endpoint, a connection to it, and what came of it."""

from __future__ import annotations

import errno
from typing import Final

from meshproxy.dataplane.cluster import Cluster
from meshproxy.dataplane.http.tracing import Trace
from meshproxy.dataplane.http.upstream_connection import Bytes, UpstreamConnection
from meshproxy.dataplane.upstream import Upstream
from meshproxy.protocols.http1.response import ResponseHead


class AttemptOwner:
    """Whoever wants a request answered. (A base class and not a protocol: calls are quicker when compiled.)

    `trace` is None for a request that is not recorded.
    """

    __slots__ = ("trace",)

    trace: Trace | None

    def proxy_header(self, version: int) -> bytes:
        """What a new connection begins with where the cluster's endpoints are told of clients so."""
        raise NotImplementedError

    def connected(self) -> None:
        """There is a connection: `Attempt.send` the request."""
        raise NotImplementedError

    def upload_drained(self) -> None:
        """What `Attempt.send` could not get rid of is gone."""
        raise NotImplementedError

    def response_interim(self, head: ResponseHead) -> None:
        """A 1xx response; the real one follows."""
        raise NotImplementedError

    def response_head(self, head: ResponseHead, body: Bytes, done: bool) -> None:
        """The response, and what is there of its body as it came (chunks included); valid in this call only."""
        raise NotImplementedError

    def response_body(self, body: Bytes, done: bool) -> None:
        """More of the body; valid in this call only."""
        raise NotImplementedError

    def attempt_failed(self, flag: str, detail: str, stale: bool) -> None:
        """It ended without a (whole) response: UF (not connected), UC (hung up), UPE (malformed).

        `stale` says that a connection which had been kept turned out to be closed: the endpoint did nothing wrong.
        """
        raise NotImplementedError


_NOBODY: Final = AttemptOwner()


class Attempt:
    """Implements `upstream.Attached`. Used again for each try of its owner; `active` from `begin` to `end`.

    `status` and `flag` are what it ended with.
    """

    __slots__ = ("_cluster", "_owner", "active", "connection", "flag", "started", "status", "upstream")

    upstream: Upstream
    _cluster: Cluster

    def __init__(self, owner: AttemptOwner) -> None:
        self._owner = owner
        self.connection: UpstreamConnection | None = None
        self.active = False
        self.started = 0.0
        self.status = 0
        self.flag = ""

    def begin(self, cluster: Cluster, upstream: Upstream, now: float) -> None:
        """Count as a request of `upstream`; `find_connection` comes next."""
        self.active = True
        self.started = now
        self.upstream = upstream
        self._cluster = cluster
        cluster.acquire(upstream)
        upstream.attach(self)
        trace = self._owner.trace
        if trace is not None:
            self.tell_try(trace)

    def tell_try(self, trace: Trace) -> None:
        """Tell `trace` of this try, the last one where it is over."""
        trace.try_began(self.upstream.key, self.upstream.sockaddr[1], self.started)

    def find_connection(self, resend: bool) -> bool:
        """Take an idle connection, or open one; whether the owner's request is on its way by now.

        Without `resend` the request cannot be sent twice, so that an idle connection is looked at first.
        """
        pool, upstream = self._cluster.pool, self.upstream
        connection = pool.take(upstream, self)
        if not resend:
            while connection is not None and not connection.is_still_open():
                connection.close()
                connection = pool.take(upstream, self)
        if connection is not None:
            self.connection = connection
            self._owner.connected()
            return True
        try:
            connection = pool.open(upstream, self)
        except OSError as error:
            self.end(0, False, "UF")
            self._owner.attempt_failed("UF", f"no socket: {errno.errorcode.get(error.errno or 0, '')}", False)
            return True
        self.connection = connection
        connection.connect()
        return not connection.is_connecting

    def send(self, data: Bytes) -> bool:
        """Send a piece of the request; whether all of it is gone (`AttemptOwner.upload_drained` says when it is)."""
        assert self.connection is not None
        return self.connection.send(data)

    def pause(self) -> None:
        """Let nothing more of the response come until `resume`."""
        if self.connection is not None:
            self.connection.pause()

    def resume(self) -> None:
        if self.connection is not None:
            self.connection.resume()

    def let_go(self) -> None:
        """Its owner makes no further try, and is held no longer."""
        self._owner = _NOBODY

    # -- from the connection -------------------------------------------------------------

    def proxy_header(self, version: int) -> bytes:
        return self._owner.proxy_header(version)

    def upstream_connected(self) -> None:
        self._owner.connected()

    def upload_drained(self) -> None:
        self._owner.upload_drained()

    def response_interim(self, head: ResponseHead) -> None:
        self._owner.response_interim(head)

    def response_head(self, head: ResponseHead, body: Bytes, done: bool) -> None:
        self._cluster.responded(self.upstream, head.status)
        self._owner.response_head(head, body, done)

    def response_body(self, body: Bytes, done: bool) -> None:
        self._owner.response_body(body, done)

    def upstream_failed(self, flag: str, detail: str) -> None:
        connection, cluster, upstream = self.connection, self._cluster, self.upstream
        assert connection is not None
        stale = flag == "UC" and not connection.answered and connection.served > 1
        self.end(0, False, flag)
        if flag == "UF":
            cluster.failed(upstream, detail, timeout=detail == CONNECT_TIMED_OUT)
        elif not stale:
            cluster.request_failed(upstream, detail)
        self._owner.attempt_failed(flag, detail, stale)

    # -- the end -------------------------------------------------------------------------

    @property
    def is_connecting(self) -> bool:
        return self.connection is not None and self.connection.is_connecting

    def connect_timed_out(self) -> None:
        """The connection did not open in time."""
        assert self.connection is not None
        self.connection.fail("UF", CONNECT_TIMED_OUT)

    def timed_out(self) -> None:
        """The response did not come, or did not end, in time."""
        self._cluster.request_failed(self.upstream, "no response in time")
        self.end(0, False, "UT")

    def end(self, status: int, keep: bool, flag: str = "") -> None:
        """Count it, and let go of its connection: for another request where it may be kept. Nothing the second time.

        `flag` says why there is no response, where that lies with the upstream.
        """
        if not self.active:
            return
        self.active = False
        self.status, self.flag = status, flag
        self.settle()
        connection, self.connection = self.connection, None
        upstream, cluster = self.upstream, self._cluster
        trace = self._owner.trace
        if trace is not None:
            trace.try_ended(status, flag, cluster.pool.reactor.time)
        if connection is not None:
            if keep:
                connection.release()
            else:
                connection.taker = None
                connection.close()
        upstream.request_ended(status, cluster.pool.reactor.time - self.started)
        upstream.detach(self)
        cluster.release(upstream)

    def settle(self) -> None:
        """Implements `upstream.Attached`."""
        connection = self.connection
        if connection is not None:
            self.upstream.sent += connection.sent
            self.upstream.received += connection.received
            connection.sent = connection.received = 0

    def upstream_gone(self, now: float) -> None:
        """Implements `upstream.Attached`: the request goes on, its connection serves no other."""
        if self.connection is not None:
            self.connection.reusable = False


CONNECT_TIMED_OUT = "connect: connection timed out"
