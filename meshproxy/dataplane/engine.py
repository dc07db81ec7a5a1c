"""A worker's data plane: applies what the supervisor says, reports what happened."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from random import Random

import msgspec

from meshproxy.dataplane.authorizers import Authorizers
from meshproxy.dataplane.chain_set import NO_CHAINS, ChainSet
from meshproxy.dataplane.chains import Chain
from meshproxy.dataplane.cluster import Cluster
from meshproxy.dataplane.http.actions import RuleAction
from meshproxy.dataplane.http.context import HTTPContext
from meshproxy.dataplane.http.durations import Durations
from meshproxy.dataplane.http.frontend import Frontend, RouteTables
from meshproxy.dataplane.http.tracing import Tracer
from meshproxy.dataplane.listener import TCPListener
from meshproxy.dataplane.reactor import Reactor
from meshproxy.dataplane.staging import Staged
from meshproxy.dataplane.tls.shared import TLSShared
from meshproxy.dataplane.tls.upstream import ClusterTLS
from meshproxy.dataplane.udp import UDPListener
from meshproxy.dataplane.upstream import Upstream
from meshproxy.routing.router import Router
from meshproxy.snapshot import model
from meshproxy.snapshot.messages import (
    AffinityEntries,
    AffinityLearned,
    EncodedAccessRecords,
    EncodedTraceRecords,
    EndpointFailing,
    EndpointRequestStats,
    EndpointStats,
    HealthChanges,
    ListenerStats,
    RecentRecords,
    RequestDurations,
    RequestStats,
    Stats,
    TLSStats,
)
from meshproxy.snapshot.routes import RouteTable, Rule
from meshproxy.snapshot.tls import TLSMaterial
from meshproxy.telemetry.access_filter import AccessFilter
from meshproxy.telemetry.logs import RateLimited

STATS_PART = 500
"""Endpoints and listeners in one `Stats` message, which must fit a socket packet."""
CALLERS_PART = 200
"""Callers in one."""
REQUEST_STATS_PART = 200
"""Routes and endpoints in one `RequestStats` message."""
HANDSHAKES_PART = 500
"""Counts in one `TLSStats` message."""

_log = logging.getLogger(__name__)

AnyListener = TCPListener | UDPListener


class DataPlane:
    """Owns the listeners and clusters of one worker, by name."""

    def __init__(
        self,
        reactor: Reactor,
        random: Random,
        send: Callable[[EndpointFailing], None],
        wall: float = 0.0,
    ) -> None:
        """`wall` is the Unix time now."""
        self._reactor = reactor
        self._random = random
        self._send = send
        self._shortage = RateLimited(_log, 1.0, reactor.now)
        self._settings = model.ProxySettings()
        self._share = 1.0
        self._clusters: dict[str, Cluster] = {}
        self._listeners: dict[str, AnyListener] = {}
        self._closing: list[AnyListener] = []
        self._tables = RouteTables()
        self.authorizers = Authorizers(RateLimited(_log, 1.0, reactor.now))
        self.http = HTTPContext(random, wall - reactor.now())
        self.tls = TLSShared(reactor, self._wall)

    def _wall(self) -> float:
        return self.http.wall + self._reactor.now()

    # -- configuration -------------------------------------------------------------------

    def apply(self, staged: Staged) -> Iterator[None]:
        """Apply a staged configuration in steps of about a millisecond; run the iterator to its end.

        Traffic may flow between steps. New things come before the removal of old ones, so
        that nothing ever refers to what is not there (xDS' make before break).
        """
        if staged.begin.settings.buffer_size != self._settings.buffer_size:
            self._reactor.resize_buffer(staged.begin.settings.buffer_size)
        self._take_settings(staged.begin.settings)
        for cluster_config in staged.clusters.values():
            yield from self._put_cluster(cluster_config)
        for name, (put, removed) in staged.endpoint_changes(self._known_endpoints()):
            yield from self._clusters[name].update_endpoints(put, removed)
        for authorization in staged.authorizations.values():
            yield from self.authorizers.put(authorization)
        for table in staged.route_tables.values():
            yield from self._put_routes(table)
        for listener_config, sock in staged.listeners.values():
            self._put_listener(listener_config, sock)
            yield
        yield from self._remove(staged)
        yield from self._look_at_connections_again(staged)

    def _remove(self, staged: Staged) -> Iterator[None]:
        """Take away what is not wanted any more."""
        for name in staged.removed_listeners(self._listeners):
            self._remove_listener(name)
            yield
        for name in staged.removed_route_tables(self._tables.names()):
            self._tables.remove(name)
            self.http.forget_table(name)
            yield
        for name in staged.removed_authorizations(self.authorizers.names()):
            self.authorizers.remove(name)
        for name in staged.removed_clusters(self._clusters):
            cluster = self._clusters.pop(name)
            self.http.forget_cluster(name)
            yield from cluster.update_endpoints((), tuple(cluster.upstreams))
        self.http.keep_flags(self._listeners)
        if self.http.durations is not None:
            self.http.durations.keep_only(self._listeners.__contains__)
        self._forget_tls()

    def _forget_tls(self) -> None:
        """Let go of what TLS has for listeners and clusters that are gone, or speak it otherwise by now."""
        listeners = [each for each in self._listeners.values() if isinstance(each, TCPListener)]
        servers = {chain.tls for each in listeners for chain in each.config.chains if chain.tls is not None}
        upstreams = {each.tls.settings for each in self._clusters.values() if each.tls is not None}
        self.tls.contexts.keep_used(servers, upstreams)
        self.tls.counters.keep_only(set(self._listeners), set(self._clusters))

    def _take_settings(self, settings: model.ProxySettings) -> None:
        self._settings = settings
        self._share = 1 / (settings.workers or len(os.sched_getaffinity(0)))
        tracing = settings.tracing
        self.http.tracer = Tracer(tracing, self._random) if tracing is not None else None
        is_wanted = settings.otlp is not None and settings.otlp.metrics_interval is not None
        self.http.durations = (self.http.durations or Durations()) if is_wanted else None
        log = settings.access_log
        self.http.wants_record = AccessFilter(log, self._random.random).wants if log is not None else None
        self.http.logged_fields = tuple((each, each.encode()) for each in log.fields) if log is not None else ()

    def _known_endpoints(self) -> dict[str, tuple[str, ...]]:
        return {name: tuple(cluster.upstreams) for name, cluster in self._clusters.items()}

    def cluster_names(self) -> frozenset[str]:
        """The clusters in force, for checking what is staged."""
        return frozenset(self._clusters)

    def route_table_names(self) -> frozenset[str]:
        """The route tables in force, likewise."""
        return frozenset(self._tables.names())

    def _put_cluster(self, config: model.Cluster) -> Iterator[None]:
        cluster = self._clusters.get(config.name)
        if cluster is None:
            cluster = Cluster(config, self._random, self._reactor.now, self._endpoint_failing, self._share)
            cluster.pool.reactor = self._reactor
            self._clusters[config.name] = cluster
            yield
        else:
            yield from cluster.configure(config)
        if config.tls != (cluster.tls.settings if cluster.tls is not None else None):
            tls = ClusterTLS(config.tls, config.name, self._reactor, self.tls) if config.tls is not None else None
            cluster.secure(tls)

    def _put_routes(self, table: RouteTable) -> Iterator[None]:
        """Build a table beside the one that serves, then change over at once."""
        router: Router[RuleAction] = Router()
        yield from router.fill(table, partial(self._rule_action, table.name))
        self._tables.put(table.name, router)
        rules = [rule for host in table.virtual_hosts for rule in host.rules]
        backends = {(rule.name, backend.name) for rule in rules for backend in rule.backends}
        self.http.keep_rules(table.name, backends | {(rule.name, "") for rule in rules})

    def _rule_action(self, table: str, rule: Rule) -> RuleAction:
        return RuleAction(rule, self._clusters, partial(self.http.counters, table, rule.name))

    def _put_listener(self, config: model.Listener, sock: socket.socket) -> None:
        listener = self._listeners.get(config.name)
        if listener is not None:
            sock.close()  # another descriptor of the socket that is being accepted from
        else:
            sock.setblocking(False)
        if config.transport is model.Transport.UDP:
            listener = self._put_udp_listener(config, sock, listener)
        else:
            listener = self._put_tcp_listener(config, sock, listener)
        self._listeners[config.name] = listener
        listener.start()

    def _look_at_connections_again(self, staged: Staged) -> Iterator[None]:
        """End those that an authorization refuses by now, where it wants that."""
        if any(each.closes_connections for each in staged.authorizations.values()):
            for listener in chain(self._listeners.values(), self._closing):
                listener.end_refused()
                yield

    def _put_udp_listener(
        self, config: model.Listener, sock: socket.socket, listener: AnyListener | None
    ) -> UDPListener:
        cluster = self._clusters[config.cluster]
        if isinstance(listener, UDPListener):
            listener.replace(config, cluster)
            return listener
        return UDPListener(config, sock, cluster, self._reactor, self.authorizers, self.http.callers, self._shortage)

    def _put_tcp_listener(
        self, config: model.Listener, sock: socket.socket, listener: AnyListener | None
    ) -> TCPListener:
        cluster = self._clusters[config.cluster] if config.cluster else None
        frontend = Frontend(config, cluster, self._tables, self.authorizers, self.http)
        if not isinstance(listener, TCPListener):
            listener = TCPListener(sock, self._reactor, self.tls, self._shortage)
        listener.replace(config, cluster, frontend, self._chains(config, listener))
        return listener

    def _chains(self, config: model.Listener, listener: TCPListener) -> ChainSet:
        chains = []
        for chain_config in config.chains:
            chain = listener.chains.named(chain_config.name) or Chain(listener, self._random)
            own = msgspec.structs.replace(
                config,
                cluster=chain_config.cluster,
                routes=chain_config.routes,
                protocol=chain_config.protocol,
                authorization=chain_config.authorization or config.authorization,
            )
            cluster = self._clusters[own.cluster] if own.cluster else None
            frontend = Frontend(own, cluster, self._tables, self.authorizers, self.http)
            chain.replace(chain_config, own, frontend, self._clusters)
            chains.append(chain)
        return ChainSet(chains) if chains else NO_CHAINS

    def _remove_listener(self, name: str) -> None:
        listener = self._listeners.pop(name)
        listener.close()
        self._closing = [each for each in self._closing if each.counters.active]
        self._closing.append(listener)

    def put_materials(self, materials: tuple[TLSMaterial, ...]) -> None:
        """Use these keys, certificates and roots from now on.

        Where roots are gone, or an identity, no further request goes to an endpoint by a connection that was made with
        them, and clients are looked at as when an authorization changes; new revocation lists do the former, too.
        """
        stale = self.tls.contexts.put(materials)
        if not stale:
            return
        for cluster in self._clusters.values():
            if cluster.tls is not None and stale & {cluster.tls.settings.certificate, cluster.tls.settings.trust}:
                cluster.pool.renew()
        for listener in self._tcp_listeners():
            listener.end_refused()

    # -- endpoints -----------------------------------------------------------------------

    def change_health(self, message: HealthChanges) -> None:
        """Endpoints became usable or unusable; those of clusters not known (any more) are passed over."""
        for cluster_name, endpoint_id, usable in message.changes:
            cluster = self._clusters.get(cluster_name)
            if cluster is not None:
                cluster.set_health(endpoint_id, usable)

    def learn_affinity(self, message: AffinityEntries) -> None:
        """Other workers bound clients to endpoints."""
        now = self._reactor.now()
        for cluster_name, client, endpoint_id, seconds_left in message.entries:
            cluster = self._clusters.get(cluster_name)
            if cluster is not None and cluster.affinity is not None:
                cluster.affinity.learn(client, endpoint_id, seconds_left, now)

    def _endpoint_failing(self, cluster: str, upstream: Upstream, times: int, what: str) -> None:
        self._send(EndpointFailing(cluster, upstream.key, times, what))

    # -- reports -------------------------------------------------------------------------

    def take_affinity(self) -> AffinityLearned | None:
        """Clients bound since the last call, to be told to the other workers."""
        now = self._reactor.now()
        tables = [cluster.affinity for cluster in self._clusters.values() if cluster.affinity is not None]
        for table in tables:
            table.forget_expired(now)
        entries = tuple(chain.from_iterable(table.take_told(now) for table in tables))
        return AffinityLearned(entries) if entries else None

    def take_statistics(self) -> Iterator[Stats]:
        """What changed since the last call, in messages of bounded size."""
        listeners = tuple(self._changed_listeners())
        endpoints = tuple(self._changed_endpoints())  # which brings the counts of callers up to date, too
        callers = tuple(self.http.callers.take_changed())
        for start in range(0, max(len(listeners), len(endpoints)), STATS_PART):
            part = slice(start, start + STATS_PART)
            yield Stats(listeners[part], endpoints[part], self._shortage.count)
        for start in range(0, len(callers), CALLERS_PART):
            yield Stats((), (), self._shortage.count, callers[start : start + CALLERS_PART])

    def take_request_statistics(self) -> Iterator[RequestStats]:
        """What changed of HTTP since the last call, in messages of bounded size."""
        routes = tuple(self.http.take_changed_routes())
        endpoints = tuple(self._changed_request_endpoints())
        flags = self.http.take_changed_flags()
        decisions = self.authorizers.take_changed()
        most = max(len(routes), len(endpoints), len(flags), len(decisions))
        for start in range(0, most, REQUEST_STATS_PART):
            part = slice(start, start + REQUEST_STATS_PART)
            yield RequestStats(routes[part], endpoints[part], flags[part], decisions[part])

    def take_handshake_statistics(self) -> Iterator[TLSStats]:
        """What changed of TLS since the last call, in messages of bounded size."""
        changed = tuple(self.tls.counters.take_changed())
        for start in range(0, len(changed), HANDSHAKES_PART):
            yield TLSStats(changed[start : start + HANDSHAKES_PART])

    def take_durations(self) -> Iterator[RequestDurations]:
        """How long requests took, where that is asked for, as far as it changed, in messages of bounded size."""
        changed = tuple(self.http.durations.take_changed()) if self.http.durations is not None else ()
        for start in range(0, len(changed), REQUEST_STATS_PART):
            yield RequestDurations(changed[start : start + REQUEST_STATS_PART])

    def take_access_records(self) -> Iterator[EncodedAccessRecords]:
        """The requests to be logged since the last call, in messages of bounded size."""
        for records, dropped in self.http.access.take():
            yield EncodedAccessRecords(records, dropped)

    def take_recent_records(self) -> RecentRecords | None:
        """Some requests to be shown, if there were any since the last call."""
        records = self.http.recent.take()
        return RecentRecords(records) if records else None

    def take_traces(self) -> Iterator[EncodedTraceRecords]:
        """The traces to be exported since the last call, in messages of bounded size."""
        for records, dropped in self.http.traces.take():
            yield EncodedTraceRecords(records, dropped)

    def _changed_request_endpoints(self) -> Iterator[EndpointRequestStats]:
        for name, cluster in self._clusters.items():
            for upstream in tuple(cluster.touched):
                if upstream.requests is not None:
                    state = (upstream.requests.total, cluster.pool.idle_at(upstream.key))
                    if state != upstream.requests.reported:
                        upstream.requests.reported = state
                        yield EndpointRequestStats(name, upstream.key, state[1], upstream.requests.counts())

    def _changed_listeners(self) -> Iterator[ListenerStats]:
        for name, listener in self._listeners.items():
            now = listener.counters.statistics(name)
            if now != listener.counters.reported:
                listener.counters.reported = now
                yield now

    def _changed_endpoints(self) -> Iterator[EndpointStats]:
        for name, cluster in self._clusters.items():
            for upstream in tuple(cluster.touched):
                upstream.settle()
                now = upstream.statistics(name)
                if now != upstream.reported:
                    upstream.reported = now
                    yield now
                elif not upstream.active:
                    cluster.touched.discard(upstream)

    # -- the end -------------------------------------------------------------------------

    def stop_accepting(self, *, peers_only: bool = False) -> None:
        """Take in who waits already, then accept no more; with `peers_only` from other proxies only.

        Local programs need their way out for as long as they answer peers (Istio: `drain_listeners?inboundonly`).
        """
        for name, listener in tuple(self._listeners.items()):
            if not peers_only or listener.config.role is model.ListenerRole.INBOUND:
                self._remove_listener(name)

    @property
    def open_connections(self) -> int:
        """Connections that are open, those of removed listeners included."""
        return sum(listener.counters.active for listener in self._tcp_listeners())

    @property
    def open_connections_of_peers(self) -> int:
        """Those of them that came in by mutual TLS from other proxies."""
        inbound = (each for each in self._tcp_listeners() if each.config.role is model.ListenerRole.INBOUND)
        return sum(listener.counters.active for listener in inbound)

    def _tcp_listeners(self) -> Iterator[TCPListener]:
        """Those that were removed included."""
        return (each for each in chain(self._listeners.values(), self._closing) if isinstance(each, TCPListener))

    def abort_connections(self) -> int:
        """Reset what is still open; returns how many connections that were."""
        cut = 0
        for listener in self._tcp_listeners():
            for connection in tuple(listener.connections):
                connection.abort()
                cut += 1
        return cut
