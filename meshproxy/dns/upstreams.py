"""The resolvers that are asked, and in which order: those that failed lately come last."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from meshproxy.base.addresses import SocketAddress

FIRST_PENALTY, MAX_PENALTY = 1.0, 30.0
"""Seconds that an upstream which failed comes last; they double with every failure in a row."""
LOOP_PENALTY = 60.0
"""Seconds that an upstream whose questions come back to us is not asked at all."""
MIN_TRIES, MAX_TRIES = 2, 3
"""Tries for a question: a datagram may be lost, and a client waits for five seconds (resolv.conf(5))."""


class Upstream:
    """A resolver, and how it did. Times are the clock's, `seconds` the sum over its answers."""

    __slots__ = ("address", "answers", "failures", "in_a_row", "loops_until", "penalty_until", "problem", "seconds")

    def __init__(self, address: SocketAddress) -> None:
        self.address = address
        self.answers = 0
        self.failures = 0
        self.in_a_row = 0
        self.seconds = 0.0
        self.problem = ""
        self.penalty_until = float("-inf")
        self.loops_until = float("-inf")

    def answered(self, seconds: float) -> None:
        self.answers += 1
        self.seconds += seconds
        self.in_a_row = 0
        self.problem = ""
        self.penalty_until = float("-inf")

    def failed(self, problem: str, now: float) -> None:
        self.failures += 1
        self.penalty_until = now + min(MAX_PENALTY, FIRST_PENALTY * 2.0 ** min(self.in_a_row, 10))
        self.in_a_row += 1
        self.problem = problem

    def looped(self, now: float) -> None:
        self.loops_until = now + LOOP_PENALTY
        self.problem = "it asks us what we ask it: a loop"


class Upstreams:
    """Owns the upstreams; those that stay when the list changes keep their record."""

    def __init__(self) -> None:
        self._all: dict[SocketAddress, Upstream] = {}
        self._configured: tuple[tuple[SocketAddress, ...], SocketAddress | None] = ((), None)
        self.ourselves: tuple[SocketAddress, ...] = ()
        """Addresses on the list that are our own, and so are left out."""

    @property
    def all(self) -> tuple[Upstream, ...]:
        return tuple(self._all.values())

    def configure(self, addresses: Sequence[SocketAddress], own: SocketAddress | None) -> tuple[Upstream, ...]:
        """Ask `addresses`, in this order, but not `own`, where we listen; those that are new are returned."""
        if (tuple(addresses), own) == self._configured:
            return ()
        self._configured = (tuple(addresses), own)
        self.ourselves = tuple(each for each in addresses if own is not None and _is_same(each, own))
        before = self._all
        wanted = [each for each in addresses if each not in self.ourselves]
        self._all = {each: before.get(each) or Upstream(each) for each in wanted}
        return tuple(each for address, each in self._all.items() if address not in before)

    def find(self, address: SocketAddress) -> Upstream | None:
        return self._all.get(address)

    def tries(self, now: float) -> list[Upstream]:
        """Whom to ask, one after the other."""
        usable = [each for each in self._all.values() if each.loops_until <= now]
        usable.sort(key=lambda each: each.penalty_until if each.penalty_until > now else 0.0)
        wanted = max(MIN_TRIES, min(len(usable), MAX_TRIES))
        return (usable * wanted)[:wanted]

    def why_none(self) -> str:
        """Why `tries` is empty."""
        if self._all:
            return "every upstream leads back to this server"
        if self.ourselves:
            return "the only upstream is this server itself; name others in spec.dns.upstreams"
        return "there is no upstream: /etc/resolv.conf names none, nor does spec.dns.upstreams"


def _is_same(address: SocketAddress, own: SocketAddress) -> bool:
    """Whether what is sent to `address` comes to a socket that listens on `own`."""
    if address.port != own.port:
        return False
    if own.host not in ("0.0.0.0", "::"):
        return address.host == own.host
    with socket.socket(socket.AF_INET6 if address.is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address.host, 0))
        except OSError:
            return False
    return True
