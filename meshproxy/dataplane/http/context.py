"""What the HTTP side of one worker shares."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from random import Random

from meshproxy.dataplane.callers import Callers
from meshproxy.dataplane.http.counters import RequestCounters
from meshproxy.dataplane.http.durations import Durations
from meshproxy.dataplane.http.forwarding import RequestIds
from meshproxy.dataplane.http.recent import RecentSample
from meshproxy.dataplane.http.records import Records
from meshproxy.dataplane.http.tracing import Tracer
from meshproxy.dataplane.tally import Tally
from meshproxy.snapshot.messages import RouteStats


class HTTPContext:
    """`wall` is Unix time minus the reactor's clock. `wants_record` decides on access records; None: there are none."""

    __slots__ = (
        "_counters", "access", "callers", "durations", "flags", "ids", "logged_fields", "random", "recent", "tracer",
        "traces", "wall", "wants_record",
    )  # fmt: skip

    def __init__(self, random: Random, wall: float) -> None:
        self.random = random.random
        self.ids = RequestIds(random.getrandbits(64))
        self.wall = wall
        self.flags: Tally[tuple[str, str]] = Tally()
        """How many requests of a listener ended with a flag, by (listener, flag)."""
        self.wants_record: Callable[[int, float, str], bool] | None = None
        self.logged_fields: tuple[tuple[str, bytes], ...] = ()
        """The fields of requests that access records have, by name."""
        self.access = Records()
        self.recent = RecentSample()
        self.durations: Durations | None = None
        """None where nobody asks for them."""
        self.tracer: Tracer | None = None
        """None where nothing is traced."""
        self.traces = Records()
        self.callers = Callers()
        self._counters: dict[tuple[str, str, str], RequestCounters] = {}

    def counters(self, table: str, rule: str, backend: str = "") -> RequestCounters:
        """The counts of a rule's backend, or of what it answers itself; they outlive its configuration."""
        key = (table, rule, backend)
        found = self._counters.get(key)
        if found is None:
            found = self._counters[key] = RequestCounters()
        return found

    def keep_rules(self, table: str, rules: Collection[tuple[str, str]]) -> None:
        """Forget what other rules and backends of a table counted: they are gone. `rules` are (rule, backend)."""
        for key in [key for key in self._counters if key[0] == table and key[1] and key[1:] not in rules]:
            del self._counters[key]

    def keep_flags(self, listeners: Collection[str]) -> None:
        """Forget what requests of other listeners ended with."""
        self.flags.keep_only(lambda key: key[0] in listeners)

    def forget_table(self, table: str) -> None:
        """A table is gone, and so are its rules' counts."""
        for key in [key for key in self._counters if key[0] == table]:
            del self._counters[key]

    def forget_cluster(self, cluster: str) -> None:
        """A cluster is gone, and so is what listeners without routes counted for it."""
        self._counters.pop(("", cluster, ""), None)

    def take_changed_routes(self) -> Iterator[RouteStats]:
        """What rules did since the last call."""
        for key, counters in self._counters.items():
            state = (counters.total, 0)
            if state != counters.reported:
                counters.reported = state
                yield RouteStats(*key, counters.counts())

    def take_changed_flags(self) -> tuple[tuple[str, str, int], ...]:
        """The flags that were counted since the last call, with all of their counts."""
        return tuple((*key, count) for key, count in self.flags.take_changed().items())

    def count_flags(self, listener: str, flags: str) -> None:
        """Count what a request ended with: `flags` are joined by commas."""
        for flag in flags.split(","):
            self.flags.count((listener, flag))
