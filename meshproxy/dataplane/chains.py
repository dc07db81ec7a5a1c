"""What becomes of a listener's TLS connections for some server names: its filter chains."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from random import Random

from meshproxy.dataplane.cluster import Cluster
from meshproxy.dataplane.connection import Connection
from meshproxy.dataplane.http.frontend import Frontend
from meshproxy.dataplane.listener import Accepting, Open, TCPListener
from meshproxy.dataplane.preface import reset
from meshproxy.dataplane.stream import Stream
from meshproxy.dataplane.tls.peer import TLSFacts
from meshproxy.snapshot import model


class Chain(Accepting):
    """One filter chain: the same object while the listener has one of its name, so that open connections follow.

    Bytes that are passed through as they are go to one of its backends, each as often as its weight says.
    """

    def __init__(self, listener: TCPListener, random: Random) -> None:
        super().__init__(listener.reactor, listener.tls, listener.counters)
        self._listener = listener
        self._random = random
        self._backends: list[Cluster | None] = []
        self._bounds: list[int] = []

    def replace(
        self, chain: model.FilterChain, config: model.Listener, frontend: Frontend, clusters: Mapping[str, Cluster]
    ) -> None:
        """Go by this from now on. `config` is the listener's, with the chain's protocol and goals."""
        self.chain = chain
        self.server_tls = chain.tls
        self.config = config
        self.frontend = frontend
        self.cluster = clusters[chain.cluster] if chain.cluster else None
        weighted = [each for each in chain.backends if each.weight]
        self._backends = [clusters[each.cluster] if each.cluster else None for each in weighted]
        self._bounds = list(accumulate(each.weight for each in weighted))

    def make_connection(
        self, downstream: Stream, client: tuple[str, int], first: bytes, tls: TLSFacts | None = None
    ) -> Open:
        """Implements `Accepting`."""
        if self.config.cluster or self.config.routes:
            return super().make_connection(downstream, client, first, tls)
        cluster = self._choose()
        return Connection(self, cluster, downstream, client, first, tls) if cluster else _Refused(self, downstream)

    def _choose(self) -> Cluster | None:
        if not self._backends:
            return None
        return self._backends[bisect_right(self._bounds, self._random.random() * self._bounds[-1])]

    def serves(self, host: str) -> bool:
        """Whether a client that means `host` is to come here."""
        return self._listener.chains.find(host) is self

    def begin_in_place_of(self, before: Open, connection: Open) -> None:
        """Implements `Accepting`."""
        self._listener.begin_in_place_of(before, connection)

    def connection_closed(self, connection: Open) -> None:
        """Implements `Accepting`."""
        self._listener.connection_closed(connection)

    def report_shortage(self, error: OSError) -> None:
        """Implements `Accepting`."""
        self._listener.report_shortage(error)


class _Refused:
    """Implements `listener.Open`: a client that there is no backend for."""

    def __init__(self, chain: Chain, downstream: Stream) -> None:
        self._chain = chain
        self._downstream = downstream

    def start(self) -> None:
        self._chain.counters.refused += 1
        self.abort()

    def drain(self) -> None:
        """It is over already."""

    def end_refused(self) -> None:
        """Likewise."""

    def abort(self) -> None:
        reset(self._downstream)
        self._chain.connection_closed(self)
