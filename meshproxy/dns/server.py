"""The DNS server: takes snapshots and health, listens where it is told to, and says how it does."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterable
from random import Random

import msgspec

from meshproxy.aio.sockets import bound_socket
from meshproxy.aio.tasks import OwnedTasks
from meshproxy.base.addresses import SocketAddress
from meshproxy.base.bind_errors import explain_bind_error
from meshproxy.base.clock import Clock
from meshproxy.base.events import Event, EventSink, EventType
from meshproxy.dns.explanation import explain
from meshproxy.dns.forwarder import SUBJECT, Forwarder
from meshproxy.dns.front import Front, Guests
from meshproxy.dns.resolv_conf import SystemResolvers
from meshproxy.dns.resolver import Resolver
from meshproxy.dns.tally import Tallies
from meshproxy.dns.tcp import TCPServer
from meshproxy.dns.udp import UDPServer
from meshproxy.dns.upstreams import Upstream
from meshproxy.dns.zone import Usable, Zone
from meshproxy.snapshot.model import EMPTY, DNSSettings, Snapshot
from meshproxy.telemetry.dns import DNSExplanation, DNSReport, QueryCount, UpstreamReport

INTERVAL = 1.0
"""Seconds between looks at resolv.conf, at idle connections, and at an address that could not be bound."""

NOWHERE = DNSSettings(address=SocketAddress("127.0.0.1", 0), domain="invalid", ttl=0)
"""What holds before anything was configured; nobody can ask then."""

_log = logging.getLogger(__name__)


class _Sockets:
    """Both sockets of one address. Raises `OSError` where either cannot be bound."""

    def __init__(self, address: SocketAddress, udp: Front, tcp: Front) -> None:
        guests = Guests(address)
        datagrams = bound_socket(address, socket.SOCK_DGRAM)
        try:
            stream = bound_socket(address, socket.SOCK_STREAM)
        except OSError:
            datagrams.close()
            raise
        self.address = address
        self.tcp = TCPServer(stream, tcp, guests)
        self._udp = UDPServer(datagrams, udp, guests)

    def close(self) -> None:
        self._udp.close()
        self.tcp.close()


class DNSServer:
    """Owns the DNS server's sockets, names, caches and upstreams. Off while a snapshot's settings have no `dns`.

    An `address` goes before that of the settings, and turns the server on. `random` must not be guessable.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        random: Random,
        usable: Usable,
        on_event: EventSink,
        address: SocketAddress | None = None,
        system: SystemResolvers | None = None,
    ) -> None:
        self._usable = usable
        self._address = address
        self._on_event = on_event
        self._system = system or SystemResolvers()
        self._settings: DNSSettings | None = None
        self._sockets: _Sockets | None = None
        self._problem = ""
        self._tallies = Tallies()
        self._forwarder = Forwarder(clock=clock, random=random, on_event=on_event)
        self._resolver = Resolver(Zone(EMPTY, NOWHERE, usable), self._forwarder, clock)
        self._fronts = {each: Front(each, self._resolver, self._tallies, clock) for each in ("udp", "tcp")}
        self._tasks = OwnedTasks()

    # -- what changes --------------------------------------------------------------------

    def apply(self, snapshot: Snapshot) -> None:
        """Give the names of `snapshot` from now on. What was answered before is forgotten only if it may be wrong."""
        settings = snapshot.settings.dns
        if self._address is not None:
            settings = msgspec.structs.replace(settings or DNSSettings(address=self._address), address=self._address)
        self._settings = settings
        if settings is None:
            self._close()
            return
        zone = Zone(snapshot, settings, self._usable)
        if not zone.says_the_same_as(self._resolver.zone):
            self._resolver.zone = zone
            self._forget_answers()
        self._listen()
        self._choose_upstreams()

    def health_changed(self, clusters: Iterable[str]) -> None:
        """Endpoints of `clusters` may, or may not, be used from now on."""
        if not self._resolver.zone.headless_clusters.isdisjoint(clusters):
            self._resolver.zone.health_changed()
            self._forget_answers()

    async def run(self) -> None:
        """Follow resolv.conf, close idle connections and try to bind what was not free, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            if self._settings is not None:
                self._listen()
                self._choose_upstreams()
            if self._sockets is not None:
                self._sockets.tcp.sweep()

    async def stop(self) -> None:
        self._close()
        await self._tasks.cancel()
        for front in self._fronts.values():
            await front.stop()
        await self._forwarder.stop()

    def _forget_answers(self) -> None:
        for front in self._fronts.values():
            front.cache.clear()

    # -- sockets -------------------------------------------------------------------------

    def _listen(self) -> None:
        """Listen where the settings say; another address that is in use stays so until the new one can be bound."""
        assert self._settings is not None
        address = self._settings.address
        if self._sockets is not None and self._sockets.address == address:
            self._problem = ""
            return
        try:
            sockets = _Sockets(address, self._fronts["udp"], self._fronts["tcp"])
        except OSError as error:
            self._say_problem(explain_bind_error(address, error))
            return
        self._close()
        self._sockets = sockets
        self._tasks.start(sockets.tcp.start(), name="DNS over TCP")
        self._problem = ""
        _log.info("DNS is at %s, for %s", address, self._settings.domain)

    def _close(self) -> None:
        if self._sockets is not None:
            self._sockets.close()
            self._sockets = None

    def _say_problem(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._on_event(Event(type=EventType.WARNING, reason="DNSFailed", subject=SUBJECT, message=problem))

    def _choose_upstreams(self) -> None:
        assert self._settings is not None
        addresses = self._settings.upstreams or self._system.current()
        own = self._sockets.address if self._sockets is not None else None
        if self._forwarder.configure(addresses, own, self._settings.timeout):
            self._forget_answers()

    # -- what people ask -----------------------------------------------------------------

    def report(self) -> DNSReport | None:
        """How it does; None while it is off."""
        if self._settings is None:
            return None
        upstreams = self._forwarder.upstreams
        problem = self._problem or ("" if upstreams.all else upstreams.why_none())
        return DNSReport(
            address=self._sockets.address if self._sockets is not None else self._settings.address,
            listening=self._sockets is not None,
            domain=self._settings.domain,
            problem=problem,
            upstreams=tuple(_report_of(each) for each in upstreams.all),
            queries=tuple(_count_of(*key, count) for key, count in self._tallies.queries().items()),
            cache_hits=self._tallies.fast + self._forwarder.hits,
            stale=self._forwarder.stale,
            cached_answers=self._forwarder.cached_answers,
            forwarding=self._forwarder.under_way,
            dropped=sum(front.dropped for front in self._fronts.values()),
            tcp_connections=len(self._sockets.tcp.connections) if self._sockets is not None else 0,
        )

    def explain(self, name: str, kind: str) -> DNSExplanation:
        """Why `name` has the answer that it has to a question of type `kind`."""
        return explain(self._resolver.zone, self._forwarder, name, kind)


def _count_of(protocol: str, kind: str, rcode: str, count: int) -> QueryCount:
    return QueryCount(protocol=protocol, type=kind, rcode=rcode, count=count)


def _report_of(upstream: Upstream) -> UpstreamReport:
    return UpstreamReport(
        address=str(upstream.address),
        answers=upstream.answers,
        failures=upstream.failures,
        seconds=upstream.seconds,
        problem=upstream.problem,
    )
