"""A group of upstreams: who is picked, how many connections there may be, who is failing."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from random import Random
from typing import Protocol

from meshproxy.balancing.api import Balancer
from meshproxy.balancing.factory import make_balancer
from meshproxy.balancing.token_bucket import TokenBucket
from meshproxy.base.stable_hash import stable_hash
from meshproxy.dataplane.affinity import AffinityTable
from meshproxy.dataplane.http.pool import Pool
from meshproxy.dataplane.outliers import FailingSink, OutlierCounts
from meshproxy.dataplane.slow_start import Ramps
from meshproxy.dataplane.tls.upstream import ClusterTLS
from meshproxy.dataplane.upstream import Upstream
from meshproxy.snapshot import model
from meshproxy.snapshot.http import RateLimit

STEP = 50
"""Endpoints handled between two steps of a change: some 0.3 ms."""
_HASHING = (model.Algorithm.SOURCE_HASH, model.Algorithm.MAGLEV)
_log = logging.getLogger(__name__)


class Waiting(Protocol):
    """A connection or request that waits because the cluster has as many as it may have."""

    def admitted(self) -> None:
        """Its turn has come; it counts as open from now on."""
        ...


class Cluster:
    """Owns its upstreams, by endpoint id, and one balancer for each priority.

    Priorities are xDS's: an upstream of the lowest number with an available one is picked.
    While no upstream is healthy, and the policy says so, all are available (Envoy's panic mode).
    """

    def __init__(
        self,
        config: model.Cluster,
        random: Random,
        now: Callable[[], float],
        report_failing: FailingSink,
        share: float = 1.0,
    ) -> None:
        """`share` is this worker's part of what limits the proxy as a whole."""
        self.name = config.name
        self._share = share
        self._random = random
        self._now = now
        self._report_failing = report_failing
        self.upstreams: dict[str, Upstream] = {}
        self.open = 0
        self.touched: set[Upstream] = set()
        """Upstreams whose counts may differ from what was reported, so that reporting costs only those."""
        self.panicking = False
        self._healthy = 0
        self._departed: dict[str, Upstream] = {}
        self._levels: list[tuple[int, Balancer[Upstream]]] = []
        self._pending: deque[Waiting] = deque()
        self._admitting = False
        self.affinity: AffinityTable | None = None
        self.pool = Pool(self)
        self.tls: ClusterTLS | None = None
        self._ramps = Ramps(now, self._schedule, self._find, self._set_weight)
        self.limiter: TokenBucket | None = None
        self._rate_limit: RateLimit | None = None
        self._set_config(config)

    def _set_config(self, config: model.Cluster) -> None:
        self.config = config
        self._hashing = config.algorithm in _HASHING
        limits = [each for each in (config.max_connections, config.max_requests) if each is not None]
        self._limit = min(limits) if limits else None
        self._outliers = OutlierCounts(config.name, config.outlier_detection, self._report_failing)
        self._set_rate_limit(config.rate_limit)
        self._ramps.configure(None if self._hashing else config.slow_start)
        timeout = config.affinity_timeout
        if timeout is None:
            self.affinity = None
        elif self.affinity is None or self.affinity.timeout != timeout:
            self.affinity = AffinityTable(config.name, timeout)

    def _set_rate_limit(self, limit: RateLimit | None) -> None:
        """An unchanged limit keeps its tokens."""
        if limit != self._rate_limit:
            self._rate_limit = limit
            bucket = TokenBucket(limit.requests, limit.interval, limit.burst, self._share) if limit else None
            self.limiter = bucket
        self.has_http_limits = self.limiter is not None or self.config.max_request_body is not None

    # -- configuration -------------------------------------------------------------------

    def secure(self, tls: ClusterTLS | None) -> None:
        """Secure new connections by `tls`; those that are idle, or would be kept, were secured otherwise."""
        self.tls = tls
        self.pool.renew()

    def configure(self, config: model.Cluster) -> Iterator[None]:
        """Adopt a changed configuration, in steps as `Balancer.replace`."""
        if config.algorithm is not self.config.algorithm:
            yield from self._change_algorithm(config.algorithm)
        # Only now: who is bound to an endpoint by the old algorithm would be so in this worker alone.
        self._set_config(config)
        self._settle_panic()
        self._admit()

    def _change_algorithm(self, algorithm: model.Algorithm) -> Iterator[None]:
        """Fill new balancers beside those that serve, then change over at once.

        A member belongs to one balancer, so the new ones get upstreams of their own, which take
        over what is open. They are filled with none available: what picks and counts
        meanwhile happens to the old.
        """
        fresh = {key: Upstream(upstream.endpoint) for key, upstream in self.upstreams.items()}
        for upstream in fresh.values():
            upstream.available = False
        levels: list[tuple[int, Balancer[Upstream]]] = []
        for priority, members in sorted(self._by_priority(fresh.values()).items()):
            balancer = make_balancer(algorithm, self._random.random)
            yield from balancer.replace(members)
            levels.append((priority, balancer))
        before, self.upstreams, self._levels = self.upstreams, fresh, levels
        for key, upstream in fresh.items():
            old = before[key]
            upstream.take_over(old)
            self.touched.discard(old)
            self.touched.add(upstream)
            upstream.available = False
            self._ramps.adjust(upstream)
            self._balancer_of(upstream).set_available(upstream, old.available)

    def update_endpoints(self, put: Sequence[model.Endpoint], removed: Collection[str]) -> Iterator[None]:
        """Add, change and remove endpoints, in steps as `Balancer.replace`; others are not touched.

        Newcomers start slowly, but for the first ones: those may have been there before this worker was.
        """
        upstreams = dict(self.upstreams)
        is_first = not upstreams
        gone = [upstreams.pop(endpoint_id) for endpoint_id in removed if endpoint_id in upstreams]
        yield from self._close_to_new(gone)
        changed: list[tuple[Upstream | None, Upstream]] = []
        for count, endpoint in enumerate(put, 1):
            old = upstreams.get(endpoint.id)
            upstreams[endpoint.id] = new = self._put(old, endpoint)
            if old is not new:
                changed.append((old, new))
            if not count % STEP:
                yield
        self.upstreams = upstreams
        if not is_first:
            yield from self._ramp(changed)
        yield from self._replace_members()
        yield from self._relieve(changed)
        self._healthy = sum(1 for each in upstreams.values() if each.healthy and each.weight)
        self._settle_panic()
        self._departed = {key: upstream for key, upstream in self._departed.items() if upstream.active}
        while gone:
            upstream = gone.pop()
            upstream.removed = True
            self.pool.endpoint_gone(upstream.key)
            upstream.tell_gone(self._now())
            if upstream.active:
                self._departed[upstream.key] = upstream
            else:
                self.touched.discard(upstream)
            if not len(gone) % STEP:
                yield

    def _ramp(self, changed: Sequence[tuple[Upstream | None, Upstream]]) -> Iterator[None]:
        """Give the new ones the weights to begin, or go on, with before they can be picked."""
        for count, (old, new) in enumerate(changed, 1):
            if old is None or not old.weight:
                self._ramps.begin(new)
            else:
                self._ramps.adjust(new)
            if not count % STEP:
                yield

    def _relieve(self, changed: list[tuple[Upstream | None, Upstream]]) -> Iterator[None]:
        """What was picked in between the steps is still on the old ones: let the new ones have it."""
        while changed:  # and emptied on the way: 10,000 objects that end at once are a pause, too
            old, new = changed.pop()
            if old is not None:
                for _ in range(new.take_in(old)):
                    self.acquire(new)
                self.touched.discard(old)
            if not len(changed) % STEP:
                yield

    def _close_to_new(self, gone: Sequence[Upstream]) -> Iterator[None]:
        """Pick those that go no more, ahead of a hash table's rebuilding, which may take a second.

        Not when most of them go: until newcomers are in, the rest would have to carry everything.
        """
        if len(gone) > len(self.upstreams) // 2:
            return
        for count, upstream in enumerate(gone, 1):
            self._balancer_of(upstream).set_available(upstream, False)
            if not count % STEP:
                yield

    def _put(self, old: Upstream | None, endpoint: model.Endpoint) -> Upstream:
        if old is not None and (old.endpoint.weight, old.endpoint.priority) == (endpoint.weight, endpoint.priority):
            old.adopt(endpoint)
            return old
        upstream = Upstream(endpoint)
        departed = self._departed.pop(endpoint.id, None)
        if old is not None:
            upstream.take_over(old)
            if old in self.touched:
                self.touched.add(upstream)
        elif departed is not None:
            # It is back while connections of its former life are open: they are its own again.
            upstream.active = departed.active
            upstream.take_in(departed)
            self.touched.discard(departed)
            self.touched.add(upstream)
        return upstream

    def _replace_members(self) -> Iterator[None]:
        wanted = self._by_priority(self.upstreams.values())
        balancers = dict(self._levels)
        for priority in sorted(wanted.keys() | balancers.keys()):
            balancer = balancers.setdefault(priority, self._make_balancer())
            yield from balancer.replace(wanted.get(priority, ()))
            self._levels = sorted(balancers.items(), key=lambda level: level[0])
        self._levels = [level for level in self._levels if level[0] in wanted]

    def _make_balancer(self) -> Balancer[Upstream]:
        return make_balancer(self.config.algorithm, self._random.random)

    @staticmethod
    def _by_priority(upstreams: Collection[Upstream]) -> dict[int, list[Upstream]]:
        levels: dict[int, list[Upstream]] = {}
        for upstream in upstreams:
            levels.setdefault(upstream.endpoint.priority, []).append(upstream)
        return levels

    # -- health --------------------------------------------------------------------------

    def set_health(self, endpoint_id: str, healthy: bool) -> None:
        """An endpoint became healthy or unhealthy; O(1) but for the way into panic and out of it."""
        upstream = self.upstreams.get(endpoint_id)
        if upstream is None or upstream.healthy is healthy:
            return
        upstream.healthy = healthy
        upstream.failures = upstream.server_errors = upstream.gateway_errors = 0
        if upstream.weight:
            self._healthy += 1 if healthy else -1
        if healthy:
            self._ramps.begin(upstream)
        if not self.panicking:
            self._balancer_of(upstream).set_available(upstream, healthy)
        if not healthy:
            self._ramps.end(upstream)
        self._settle_panic()
        if not healthy and self.config.transport is model.Transport.UDP and not self.panicking:
            upstream.tell_gone(self._now())

    def _settle_panic(self) -> None:
        panic = self._healthy == 0 and bool(self.upstreams) and self.config.use_all_when_none_healthy
        if panic is self.panicking:
            return
        self.panicking = panic
        for upstream in self.upstreams.values():
            self._balancer_of(upstream).set_available(upstream, panic or upstream.healthy)
        if panic:
            _log.warning("no endpoint of %s is healthy: using all of them", self.name)
        else:
            _log.info("an endpoint of %s is healthy again", self.name)

    def _balancer_of(self, upstream: Upstream) -> Balancer[Upstream]:
        for priority, balancer in self._levels:
            if priority == upstream.endpoint.priority:
                return balancer
        raise KeyError(upstream.key)

    # -- slow start ----------------------------------------------------------------------

    def touch(self, endpoint_id: str) -> None:
        """Something of an endpoint changed that is reported."""
        upstream = self.upstreams.get(endpoint_id)
        if upstream is not None:
            self.touched.add(upstream)

    def _find(self, endpoint_id: str) -> Upstream | None:
        return self.upstreams.get(endpoint_id)

    def _set_weight(self, upstream: Upstream, weight: int) -> None:
        for priority, balancer in self._levels:
            if priority == upstream.endpoint.priority:
                balancer.set_weight(upstream, weight)
                return
        upstream.weight = weight  # its level comes later

    def _schedule(self, delay: float, callback: Callable[[], None]) -> object:
        return self.pool.reactor.wheel.schedule(delay, callback)

    # -- outliers ------------------------------------------------------------------------

    def failed(self, upstream: Upstream, reason: str, timeout: bool = False) -> None:
        """A connection to `upstream` did not open."""
        self.touched.add(upstream)
        upstream.connect_failures += 1
        upstream.connect_timeouts += timeout
        self._outliers.failed(upstream, f"connections failed in a row: {reason}")

    def succeeded(self, upstream: Upstream) -> None:
        """A connection to `upstream` opened, which is all that can be said of bytes that are not HTTP."""
        upstream.failures = 0

    def request_failed(self, upstream: Upstream, reason: str) -> None:
        """A request got no (whole) response from `upstream`."""
        self._outliers.failed(upstream, f"requests failed in a row: {reason}")

    def responded(self, upstream: Upstream, status: int) -> None:
        """A response's head came from `upstream`."""
        if status >= 500:
            self._outliers.server_error(upstream, status)
        elif upstream.server_errors or upstream.failures:
            upstream.failures = upstream.server_errors = upstream.gateway_errors = 0

    # -- picking -------------------------------------------------------------------------

    def pick(self, client: str, tried: Sequence[Upstream] = (), key: str | None = None) -> Upstream | None:
        """The upstream for the next connection or request of `client` (an IP address), if there is one.

        Those in `tried` are passed over. Algorithms that hash take `key`, or `client` where there is none. O(1) in
        the number of endpoints.
        """
        affinity = self.affinity
        if affinity is not None:
            return self._pick_bound(affinity, client, tried)
        if tried:
            return self._pick_untried(key or client, tried)
        return self._pick_level(key or client)

    def _pick_level(self, client: str) -> Upstream | None:
        key = stable_hash(client) if self._hashing else 0
        for _, balancer in self._levels:
            upstream = balancer.pick(key)
            if upstream is not None:
                return upstream
        return None

    def _pick_untried(self, client: str, tried: Sequence[Upstream]) -> Upstream | None:
        hidden = [each for each in tried if each.available and self.upstreams.get(each.key) is each]
        for upstream in hidden:
            self._balancer_of(upstream).set_available(upstream, False)
        try:
            return self._pick_level(client)
        finally:
            for upstream in hidden:
                self._balancer_of(upstream).set_available(upstream, True)

    def _pick_bound(self, affinity: AffinityTable, client: str, tried: Sequence[Upstream]) -> Upstream | None:
        now = self._now()
        endpoint_id = affinity.endpoint_of(client, now)
        upstream = self.upstreams.get(endpoint_id) if endpoint_id is not None else None
        if upstream is None or not upstream.available or not upstream.weight or upstream in tried:
            upstream = self._pick_untried(client, tried)
        if upstream is not None:
            affinity.bind(client, upstream.key, now)
        return upstream

    def acquire(self, upstream: Upstream) -> None:
        """A connection to `upstream` begins."""
        self.touched.add(upstream)
        self._balancer_for_count(upstream).acquire(upstream)

    def release(self, upstream: Upstream) -> None:
        """A connection to `upstream` ended, or never opened."""
        self._balancer_for_count(upstream).release(upstream)

    def _balancer_for_count(self, upstream: Upstream) -> Balancer[Upstream]:
        # A member that left every level is counted by any balancer alike: it keeps only `active`.
        levels = self._levels
        if len(levels) > 1:
            for priority, balancer in levels:
                if priority == upstream.endpoint.priority:
                    return balancer
        return levels[0][1] if levels else _UNUSED

    # -- limits --------------------------------------------------------------------------

    @property
    def is_full(self) -> bool:
        """Whether as many connections are open, or requests under way, as there may be.

        A request under way has one connection, and idle ones make room: so one count serves both limits.
        """
        limit = self._limit
        return limit is not None and self.open >= limit

    def enter(self, connection: Waiting) -> bool | None:
        """Count `connection` as open (True), queue it until `admitted` (None), or turn it away (False)."""
        if self._limit is None or self.open < self._limit:
            self.open += 1
            return True
        if len(self._pending) >= self.config.max_pending:
            return False
        self._pending.append(connection)
        return None

    def leave(self) -> None:
        """An open connection ended; the first that waits takes its place."""
        self.open -= 1
        if self._pending and not self._admitting:
            self._admit()

    def give_up(self, connection: Waiting) -> None:
        """`connection` waits no longer."""
        if connection in self._pending:
            self._pending.remove(connection)

    def _admit(self) -> None:
        """Let in who waits. (Who is out again at once makes room for the next one in this loop, not deeper down.)"""
        self._admitting = True
        try:
            while self._pending and not self.is_full:
                self.open += 1
                self._pending.popleft().admitted()
        finally:
            self._admitting = False


_UNUSED: Balancer[Upstream] = make_balancer(model.Algorithm.RANDOM, Random(0).random)
"""Counts members of clusters that have no balancer any more."""
