"""Where a connection begins: a listening socket and who may come in."""

from __future__ import annotations

import logging
import socket
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Protocol

from meshproxy.dataplane.cluster import Cluster
from meshproxy.dataplane.connection import DESCRIPTORS, Connection
from meshproxy.dataplane.http.downstream import Downstream
from meshproxy.dataplane.http.frontend import Frontend
from meshproxy.dataplane.preface import ProxyHeaderReader, SniffedConnection, reset
from meshproxy.dataplane.reactor import Reactor
from meshproxy.dataplane.upstream import Upstream
from meshproxy.snapshot import model
from meshproxy.snapshot.messages import ListenerStats
from meshproxy.telemetry.logs import RateLimited

ACCEPT_BATCH = 32
"""Connections accepted before the loop looks at those that are open already."""
SHORTAGE_RETRY = 0.05
"""Seconds until a listener that could not accept tries again."""

_log = logging.getLogger(__name__)


class ListenerCounters:
    """A listener's counts: see `snapshot.messages.ListenerStats`."""

    __slots__ = ("accepted", "active", "denied", "dropped", "malformed", "overflowed", "refused", "reported")

    def __init__(self) -> None:
        self.active = self.accepted = self.refused = self.denied = self.overflowed = self.malformed = 0
        self.dropped = 0
        self.reported: ListenerStats | None = None

    def statistics(self, listener: str) -> ListenerStats:
        """The counts now, as they are reported to the supervisor."""
        return ListenerStats(
            listener,
            self.active,
            self.accepted,
            self.refused,
            self.denied,
            self.overflowed,
            self.malformed,
            self.dropped,
        )


class SourceFilter:
    """`loadBalancerSourceRanges`: whose connections are taken."""

    __slots__ = ("_networks",)

    def __init__(self, cidrs: tuple[str, ...]) -> None:
        self._networks: tuple[IPv4Network | IPv6Network, ...] = tuple(ip_network(cidr) for cidr in cidrs)

    def allows(self, host: str) -> bool:
        """Whether a client at `host` may come in; everyone, where no range is given."""
        if not self._networks:
            return True
        address = ip_address(host.partition("%")[0])
        return any(address in network for network in self._networks)


class Open(Protocol):
    """A client's connection, whatever it speaks."""

    def start(self) -> None: ...

    def drain(self) -> None:
        """End when what is under way is done, where that can be known."""
        ...

    def abort(self) -> None:
        """Reset it now."""
        ...


class TCPListener:
    """Accepts from one socket, which it owns, and owns the connections that came of it."""

    def __init__(
        self,
        config: model.Listener,
        listening: socket.socket,
        cluster: Cluster | None,
        frontend: Frontend,
        reactor: Reactor,
        shortage: RateLimited,
    ) -> None:
        self.reactor = reactor
        self.counters = ListenerCounters()
        self.connections: set[Open] = set()
        self.draining = False
        self._socket = listening
        self._shortage = shortage
        self._accepting = False
        self._closed = False
        self.replace(config, cluster, frontend)

    def replace(self, config: model.Listener, cluster: Cluster | None, frontend: Frontend) -> None:
        """Lead new connections and requests by `config`, to `cluster` where they are not routed.

        Open TCP connections go on as they are, open HTTP connections by `frontend` with their next request.
        """
        self.config = config
        self.cluster = cluster
        self.frontend = frontend
        self._sources = SourceFilter(config.allowed_sources)

    def start(self) -> None:
        """Accept from now on."""
        if not self._accepting and not self._closed:
            self._accepting = True
            self.reactor.add_reader(self._socket, self._acceptable)

    def close(self) -> None:
        """Take in who waits already, then accept no more. Open connections go on until they are done."""
        if self._closed:
            return
        while self._accept_batch():
            pass
        self._pause()
        self._closed = True
        self._socket.close()
        self.draining = True
        for connection in tuple(self.connections):
            connection.drain()

    def _pause(self) -> None:
        if self._accepting:
            self._accepting = False
            self.reactor.remove_reader(self._socket)

    def _acceptable(self) -> None:
        self._accept_batch()

    def _accept_batch(self) -> bool:
        """Accept who waits; whether there may be more."""
        budget = self.reactor.budget
        for _ in range(ACCEPT_BATCH):
            if not budget.has_room(DESCRIPTORS):
                self._wait_for_descriptors()
                return False
            try:
                downstream, peer = self._socket.accept()
            except (BlockingIOError, InterruptedError):
                return False
            except ConnectionError:
                continue  # the client left while it waited (accept(2), ECONNABORTED)
            except OSError as error:
                self._accept_failed(error)
                return False
            budget.take(DESCRIPTORS)
            self._accepted(downstream, (peer[0], peer[1]))  # for IPv6 a flow label and a scope follow
        return True

    def _accepted(self, downstream: socket.socket, client: tuple[str, int]) -> None:
        counters = self.counters
        counters.accepted += 1
        counters.active += 1
        downstream.setblocking(False)
        if not self._sources.allows(client[0]):
            counters.denied += 1
            counters.active -= 1
            self.reactor.budget.give_back(DESCRIPTORS)
            reset(downstream)
        elif self.config.accept_proxy_protocol:
            self._begin(ProxyHeaderReader(self, downstream, client))
        else:
            self._begin(self._connection(downstream, client, b""))

    def _connection(self, downstream: socket.socket, client: tuple[str, int], first: bytes) -> Open:
        protocol, cluster = self.config.protocol, self.cluster
        if protocol is model.Protocol.HTTP or cluster is None:
            return Downstream(self, downstream, client, first)
        if protocol is model.Protocol.AUTO:
            return SniffedConnection(self, cluster, downstream, client, first)
        return Connection(self, cluster, downstream, client, first)

    def _begin(self, connection: Open) -> None:
        self.connections.add(connection)
        connection.start()

    def take_over(self, before: Open, downstream: socket.socket, client: tuple[str, int], first: bytes) -> None:
        """The PROXY header is read: `first` came behind it."""
        self.connections.discard(before)
        self._begin(self._connection(downstream, client, first))

    def take_over_as_http(
        self, before: Open, downstream: socket.socket, client: tuple[str, int], first: bytes, picked: Upstream | None
    ) -> None:
        """`first` says that it is HTTP; `picked` is the upstream that it was about to have, if any."""
        self.connections.discard(before)
        self._begin(Downstream(self, downstream, client, first, picked))

    def connection_closed(self, connection: Open) -> None:
        """A connection of this listener is over, and its descriptors are free."""
        self.connections.discard(connection)
        self.counters.active -= 1
        self.reactor.budget.give_back(DESCRIPTORS)

    # -- shortage ------------------------------------------------------------------------

    def _wait_for_descriptors(self) -> None:
        """The budget is spent: clients wait in the kernel's queue until a connection ends."""
        self._pause()
        self._shortage.warning(
            "%d file descriptors are in use, as many as the limit allows: new connections wait (raise LimitNOFILE)",
            self.reactor.budget.held,
        )
        self.reactor.budget.when_room(self.start)

    def _accept_failed(self, error: OSError) -> None:
        self._pause()
        self.report_shortage(error)
        self.reactor.wheel.schedule(SHORTAGE_RETRY, self.start)

    def report_shortage(self, error: OSError) -> None:
        """Say, at most once a second, that the system refused a socket."""
        self._shortage.warning("no socket for a connection to %s: %s", self.config.address, error.strerror)
