"""What the TLS of one worker shares."""

from __future__ import annotations

import logging
from collections.abc import Callable

from meshproxy.dataplane.reactor import Reactor
from meshproxy.dataplane.tls.contexts import ContextCache
from meshproxy.dataplane.tls.counters import HandshakeCounters
from meshproxy.dataplane.tls.peer import TLSFacts
from meshproxy.dataplane.tls.turns import Turns
from meshproxy.snapshot.tls import IDENTITY
from meshproxy.telemetry.logs import RateLimited

_log = logging.getLogger(__name__)


class TLSShared:
    """`wall` is the Unix time. `refusals` logs peers that were refused, not more than a few a second."""

    __slots__ = ("contexts", "counters", "refusals", "turns", "wall")

    def __init__(self, reactor: Reactor, wall: Callable[[], float]) -> None:
        self.contexts = ContextCache(_cannot_use)
        self.counters = HandshakeCounters()
        self.turns = Turns(reactor.soon)
        self.wall = wall
        self.refusals = RateLimited(_log, 1.0, reactor.now)

    def own_id(self) -> str:
        """This proxy's SPIFFE id; empty without an identity."""
        own = self.contexts.materials.get(IDENTITY)
        return own.spiffe_id if own is not None else ""

    def is_outdated(self, tls: TLSFacts) -> bool:
        """Whether a root is trusted no more since a client's certificate was verified: it might not be, by now."""
        name, withdrawals = tls.trust
        return tls.peer is not None and self.contexts.withdrawals[name] != withdrawals


def _cannot_use(problem: str) -> None:
    _log.error("TLS: %s; handshakes that need it are refused", problem)
