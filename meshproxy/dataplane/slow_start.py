"""Slow start: the weight of a cluster's endpoint that became usable grows by and by.

Theory of operation. While endpoints ramp a timer looks at them a few times in a window, a batch at a time, and
tells their balancers the weights that they have come to. Whatever is new gets its first, low weight before it
can be picked.
"""

from __future__ import annotations

from collections.abc import Callable

from meshproxy.balancing.slow_start import ramped_weight
from meshproxy.dataplane.upstream import Upstream
from meshproxy.snapshot.http import SlowStart

LOOKS = 20
"""In a window: the weight grows by 5 % each, less in the beginning with an aggression below 1."""
SHORTEST = 0.1
"""Seconds between two looks at least."""
BATCH = 50
"""Endpoints looked at before the loop has its turn: some 0.2 ms."""


class Ramps:
    """Who is ramping in one cluster, by endpoint id, and since when.

    `find` gives the upstream that an id stands for now, `set_weight` tells its balancer, `schedule` calls
    back after a delay.
    """

    __slots__ = ("_config", "_find", "_left", "_now", "_schedule", "_scheduled", "_set_weight", "_since")

    def __init__(
        self,
        now: Callable[[], float],
        schedule: Callable[[float, Callable[[], None]], object],
        find: Callable[[str], Upstream | None],
        set_weight: Callable[[Upstream, int], None],
    ) -> None:
        self._now = now
        self._schedule = schedule
        self._find = find
        self._set_weight = set_weight
        self._config: SlowStart | None = None
        self._since: dict[str, float] = {}
        self._left: list[str] = []
        self._scheduled = False

    def configure(self, config: SlowStart | None) -> None:
        """Take a changed configuration; without one, who is ramping gets all of its weight at the next look."""
        self._config = config

    def begin(self, upstream: Upstream) -> None:
        """`upstream` became usable; to be called before it can be picked."""
        if self._config is None or not upstream.weight:
            return
        now = self._now()
        self._since[upstream.key] = now
        self.adjust(upstream)
        if not self._scheduled:
            self._scheduled = True
            self._schedule(self._interval(), self._look)

    def adjust(self, upstream: Upstream) -> None:
        """Give `upstream` the weight that it has come to: all of it where it does not ramp."""
        since = self._since.get(upstream.key)
        weight = upstream.endpoint.weight if since is None else self._weight(upstream, since)
        if weight != upstream.weight:
            self._set_weight(upstream, weight)

    def end(self, upstream: Upstream) -> None:
        """`upstream` became unusable. (One that is gone is forgotten at the next look.)"""
        self._since.pop(upstream.key, None)
        self.adjust(upstream)

    def _weight(self, upstream: Upstream, since: float) -> int:
        config, full = self._config, upstream.endpoint.weight
        if config is None or not full:
            return full
        age = self._now() - since
        return ramped_weight(full, age, config.window, config.aggression, config.min_weight_percent)

    def _interval(self) -> float:
        return max(SHORTEST, self._config.window / LOOKS) if self._config is not None else SHORTEST

    def _look(self) -> None:
        """Bring the weights of some up to date."""
        if not self._left:
            self._left = list(self._since)
        for _ in range(min(BATCH, len(self._left))):
            self._look_at(self._left.pop())
        self._scheduled = bool(self._left or self._since)
        if self._scheduled:
            self._schedule(0.0 if self._left else self._interval(), self._look)

    def _look_at(self, key: str) -> None:
        upstream = self._find(key)
        if upstream is None:
            self._since.pop(key, None)
            return
        self.adjust(upstream)
        since = self._since.get(key)
        if since is not None and (self._config is None or self._now() - since >= self._config.window):
            del self._since[key]
