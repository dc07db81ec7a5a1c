"""Where a connection begins: a listening socket and who may come in."""

from __future__ import annotations

import logging
import socket
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Protocol

from meshproxy.authorization.caller import Caller
from meshproxy.dataplane.chain_set import NO_CHAINS, ChainSet
from meshproxy.dataplane.cluster import Cluster
from meshproxy.dataplane.connection import DESCRIPTORS, Connection
from meshproxy.dataplane.http.downstream import Downstream
from meshproxy.dataplane.http.frontend import Frontend
from meshproxy.dataplane.preface import ProxyHeaderReader, SniffedConnection, reset
from meshproxy.dataplane.reactor import Reactor
from meshproxy.dataplane.stream import Stream
from meshproxy.dataplane.tls.handshake import ServerHandshake
from meshproxy.dataplane.tls.peer import TLSFacts
from meshproxy.dataplane.tls.shared import TLSShared
from meshproxy.snapshot import model
from meshproxy.snapshot.messages import ListenerStats
from meshproxy.telemetry.logs import RateLimited

LOOPBACK = ("127.", "::1", "::ffff:127.")
"""What addresses of this machine, for itself, begin with."""
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

    def end_refused(self) -> None:
        """End if the listener's authorization refuses it by now."""
        ...

    def abort(self) -> None:
        """Reset it now."""
        ...


class Accepting:
    """What a client's connection belongs to: a listener, or one of its filter chains.

    New connections and requests go by `config`: to `cluster`, where `frontend` does not route them.
    """

    config: model.Listener
    cluster: Cluster | None
    frontend: Frontend

    def __init__(self, reactor: Reactor, tls: TLSShared, counters: ListenerCounters) -> None:
        self.reactor = reactor
        self.tls = tls
        self.counters = counters
        self.draining = False

    def make_connection(
        self, downstream: Stream, client: tuple[str, int], first: bytes, tls: TLSFacts | None = None
    ) -> Open:
        """A connection of the kind that the configuration says."""
        protocol, cluster = self.config.protocol, self.cluster
        if protocol is model.Protocol.HTTP or cluster is None:
            return Downstream(self, downstream, client, first, tls=tls)
        if protocol is model.Protocol.AUTO:
            return SniffedConnection(self, cluster, downstream, client, first, tls)
        return Connection(self, cluster, downstream, client, first, tls)

    def principal_of(self, client: tuple[str, int], tls: TLSFacts | None) -> str:
        """The SPIFFE id that a client calls as; empty where nothing vouches for one.

        Who comes to a ClusterIP from this very machine is the program that this proxy is beside, and calls as it.
        """
        if tls is not None:
            return tls.spiffe_id
        if self.config.role is model.ListenerRole.CLUSTER_IP and client[0].startswith(LOOPBACK):
            return self.tls.own_id()
        return ""

    def lets_in(self, caller: Caller) -> bool:
        """Whether `caller` may have a connection that is no HTTP; counted where it may not."""
        authorization = self.config.authorization
        if not authorization or not self.frontend.authorizers.refusal_of_connection(authorization, caller):
            return True
        self.counters.denied += 1
        return False

    def would_refuse(self, caller: Caller, tls: TLSFacts | None) -> bool:
        """The opposite, of one that has its connection and may have to give it up, without counting."""
        authorization = self.config.authorization
        if not authorization:
            return False
        return self.is_outdated(tls) or self.frontend.authorizers.would_refuse_connection(authorization, caller)

    def is_outdated(self, tls: TLSFacts | None) -> bool:
        """Whether a policy wants a connection closed, since its client might not be trusted by now."""
        if tls is None or not self.tls.is_outdated(tls):
            return False
        return self.frontend.authorizers.closes(self.config.authorization)

    def begin_in_place_of(self, before: Open, connection: Open) -> None:
        """Let `connection` begin, which has what was `before`'s."""
        raise NotImplementedError

    def connection_closed(self, connection: Open) -> None:
        """A connection is over, and its descriptors are free."""
        raise NotImplementedError

    def report_shortage(self, error: OSError) -> None:
        """Say, at most once a second, that the system refused a socket."""
        raise NotImplementedError


class TCPListener(Accepting):
    """Accepts from one socket, which it owns, and owns the connections that came of it."""

    def __init__(self, listening: socket.socket, reactor: Reactor, tls: TLSShared, shortage: RateLimited) -> None:
        """`replace` comes before `start`."""
        super().__init__(reactor, tls, ListenerCounters())
        self.connections: set[Open] = set()
        self.chains: ChainSet = NO_CHAINS
        self._socket = listening
        self._shortage = shortage
        self._accepting = False
        self._closed = False

    def replace(self, config: model.Listener, cluster: Cluster | None, frontend: Frontend, chains: ChainSet) -> None:
        """Go by this from now on.

        Open TCP connections go on as they are, open HTTP connections by `frontend` with their next request.
        """
        self.config = config
        self.cluster = cluster
        self.frontend = frontend
        self.chains = chains
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
        self.chains.drain()
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
            self._begin(self._first_stage(downstream, client, b""))

    def _first_stage(self, downstream: socket.socket, client: tuple[str, int], first: bytes) -> Open:
        if self.config.chains:
            return ServerHandshake(self, downstream, client, first)
        return self.make_connection(downstream, client, first)

    def end_refused(self) -> None:
        """End the connections that the authorization refuses by now."""
        for connection in tuple(self.connections):
            connection.end_refused()

    def _begin(self, connection: Open) -> None:
        self.connections.add(connection)
        connection.start()

    def begin_in_place_of(self, before: Open, connection: Open) -> None:
        """Implements `Accepting`."""
        self.connections.discard(before)
        self._begin(connection)

    def proxy_header_read(self, before: Open, downstream: socket.socket, client: tuple[str, int], first: bytes) -> None:
        """The PROXY header says that it is `client`; `first` came behind it."""
        self.begin_in_place_of(before, self._first_stage(downstream, client, first))

    def connection_closed(self, connection: Open) -> None:
        """Implements `Accepting`."""
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
        """Implements `Accepting`."""
        self._shortage.warning("no socket for a connection to %s: %s", self.config.address, error.strerror)
