"""Who calls, counted: each caller by its identity, or its address, and by whom it was led to.

A client may have as many addresses as it likes, so that no more than `MOST` callers are known: of each Service, and of
each cluster that it leads to, the first `MOST_OF_ONE`; all others are one together. Who has nothing open, and did
nothing for `FORGOTTEN_AFTER` reports, makes room: whoever calls all the time has a place before long, however many
others call once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from meshproxy.dataplane.http.counters import RequestCounters
from meshproxy.dataplane.tls.peer import TLSFacts
from meshproxy.snapshot.messages import OTHER_CALLERS, CallerStats, RequestCounts

MOST: Final = 1000
MOST_OF_ONE: Final = 32
FORGOTTEN_AFTER: Final = 5
"""Reports, of which there is one a second: nobody is shown the rates of a longer time."""
MAX_NAME: Final = 256
"""Characters of a caller's name."""

_NO_REQUESTS: Final = RequestCounts()


def name_of(address: str, tls: TLSFacts | None) -> str:
    """What a connection's client is known by: the certificate that it has shown, or its address."""
    name = tls.peer.name if tls is not None and tls.peer is not None else ""
    return name[:MAX_NAME] or address


class CallerCounters:
    """What one caller did since it is known: see `snapshot.messages.CallerStats`.

    `is_kept` says that its connection may count here again without asking `Callers`: not once it is forgotten, and
    never where it is one of the others, as there may be room for it by now.
    """

    __slots__ = (
        "active", "caller", "cluster", "connections", "failures", "idle", "is_kept", "received", "reported",
        "requests", "sent", "service",
    )  # fmt: skip

    def __init__(self, caller: str, service: str, cluster: str) -> None:
        self.caller = caller
        self.service = service
        self.cluster = cluster
        self.active = self.connections = self.failures = self.sent = self.received = 0
        self.requests: RequestCounters | None = None
        self.is_kept = caller != OTHER_CALLERS
        self.idle = 0
        self.reported = self.state()

    def request_ended(self, status: int, seconds: float) -> None:
        """A request was answered with `status`, or not (0), after `seconds`."""
        if self.requests is None:
            self.requests = RequestCounters()
        self.requests.count(status, seconds)

    def connected(self) -> None:
        """A connection, or a session of datagrams, is open."""
        self.active += 1
        self.connections += 1

    def state(self) -> tuple[int, int, int, int, int, int]:
        """What is not the same once anything happened."""
        requests = self.requests.total if self.requests is not None else 0
        return self.active, self.connections, self.failures, self.sent, self.received, requests

    def statistics(self, *, known: bool = True) -> CallerStats:
        """The counts now, as they are reported to the supervisor."""
        return CallerStats(
            self.caller,
            self.service,
            self.cluster,
            self.active,
            self.connections,
            self.failures,
            self.sent,
            self.received,
            self.requests.counts() if self.requests is not None else _NO_REQUESTS,
            known,
        )


class Callers:
    """Those that one worker knows, `most` of them at the most, and the others of each Service and cluster."""

    __slots__ = ("_known", "_most", "_numbers")

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: dict[tuple[str, str, str], CallerCounters] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        """How many of a Service and cluster are known by name."""

    def __len__(self) -> int:
        return len(self._known)

    def of(self, caller: str, service: str, cluster: str) -> CallerCounters:
        """Where to count what `caller` does with a listener of `service`, which led it to `cluster`."""
        found = self._known.get((caller, service, cluster))
        return found if found is not None else self._meet(caller, service, cluster)

    def _meet(self, caller: str, service: str, cluster: str) -> CallerCounters:
        if caller != OTHER_CALLERS:
            number = self._numbers.get((service, cluster), 0)
            if number >= MOST_OF_ONE or len(self._known) >= self._most:
                return self.of(OTHER_CALLERS, service, cluster)
            self._numbers[service, cluster] = number + 1
        met = self._known[caller, service, cluster] = CallerCounters(caller, service, cluster)
        return met

    def take_changed(self) -> Iterator[CallerStats]:
        """Those that did something since the last call, with all of their counts, and those that are forgotten."""
        for each in tuple(self._known.values()):
            state = each.state()
            if state != each.reported:
                each.reported = state
                each.idle = 0
                yield each.statistics()
            elif not each.active:
                each.idle += 1
                if each.idle >= FORGOTTEN_AFTER:
                    self._forget(each)
                    yield each.statistics(known=False)

    def _forget(self, counters: CallerCounters) -> None:
        counters.is_kept = False
        target = (counters.service, counters.cluster)
        del self._known[counters.caller, counters.service, counters.cluster]
        if counters.caller != OTHER_CALLERS:
            self._numbers[target] -= 1
            if not self._numbers[target]:
                del self._numbers[target]
