"""`sessionAffinity: ClientIP`: which endpoint a client is bound to, and until when."""

from __future__ import annotations

from collections.abc import Iterator

Entry = tuple[str, str, str, float]
"""(cluster, client IP, endpoint id, seconds left): `snapshot.messages.AffinityEntries`."""

MAX_CLIENTS = 65536
"""Clients remembered for a cluster. One that is forgotten is picked by its hash again, as at first."""

RETELL = 8
"""A binding that is used goes on being told: every 1/8 of its timeout."""


class AffinityTable:
    """The clients of one cluster. kube-proxy's `recent` match likewise renews a binding at each connection.

    A client that is not in it is picked by its hash, so that workers agree before they have
    told each other; `told` collects what the others should know.
    """

    __slots__ = ("_bound", "_cluster", "_told", "timeout")

    def __init__(self, cluster: str, timeout: float) -> None:
        self.timeout = timeout
        self._cluster = cluster
        self._bound: dict[str, tuple[str, float, float]] = {}
        self._told: dict[str, tuple[str, float]] = {}

    def __len__(self) -> int:
        return len(self._bound)

    def endpoint_of(self, client: str, now: float) -> str | None:
        """The id of the endpoint that `client` is bound to."""
        bound = self._bound.get(client)
        if bound is None or bound[1] <= now:
            return None
        return bound[0]

    def bind(self, client: str, endpoint: str, now: float) -> None:
        """Bind `client` to `endpoint` from `now` for the timeout."""
        until = now + self.timeout
        bound = self._bound.pop(client, None)
        retell_at = bound[2] if bound is not None and bound[0] == endpoint else now
        if now >= retell_at:
            self._told[client] = (endpoint, until)
            retell_at = now + self.timeout / RETELL
        self._insert(client, endpoint, until, retell_at)

    def learn(self, client: str, endpoint: str, seconds_left: float, now: float) -> None:
        """Another worker bound `client`.

        Where it did so to another endpoint than we, at the same time, both workers take the one
        whose id sorts first, or each would renew its own for ever.
        """
        until = now + seconds_left
        bound = self._bound.get(client)
        if bound is not None and bound[1] > now:
            endpoint, until = min(endpoint, bound[0]), max(until, bound[1])
        self._bound.pop(client, None)
        self._insert(client, endpoint, until, now + self.timeout / RETELL)

    def _insert(self, client: str, endpoint: str, until: float, retell_at: float) -> None:
        # Bindings are re-inserted when they are used, so the first is always the least recently used.
        self._bound[client] = (endpoint, until, retell_at)
        if len(self._bound) > MAX_CLIENTS:
            del self._bound[next(iter(self._bound))]

    def take_told(self, now: float) -> Iterator[Entry]:
        """What the others should know, once."""
        told, self._told = self._told, {}
        for client, (endpoint, until) in told.items():
            yield self._cluster, client, endpoint, until - now

    def forget_expired(self, now: float) -> None:
        """Drop the bindings whose time is up; costs only what it drops."""
        while self._bound:
            client = next(iter(self._bound))
            if self._bound[client][1] > now:
                return
            del self._bound[client]
