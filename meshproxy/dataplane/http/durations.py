"""How long requests took, by what OpenTelemetry's ``http.server.request.duration`` tells apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from meshproxy.snapshot.messages import DurationStats
from meshproxy.telemetry.semantics import DURATION_BOUNDS, KNOWN_METHODS, OTHER_METHOD

_BOUNDS: Final = list(DURATION_BOUNDS)
_LAST: Final[int] = len(DURATION_BOUNDS)
_OTHER: Final = OTHER_METHOD.encode()


class _Histogram:
    """`reported` is how many were counted at the last report."""

    __slots__ = ("buckets", "count", "reported", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (_LAST + 1)
        self.seconds = 0.0
        self.count = self.reported = 0

    def add(self, seconds: float) -> None:
        bucket = 0
        while bucket < _LAST and seconds > _BOUNDS[bucket]:
            bucket += 1
        self.buckets[bucket] += 1
        self.seconds += seconds
        self.count += 1


class Durations:
    """Counts since the worker began. The number of kinds has a bound: see `count`."""

    __slots__ = ("_kinds",)

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str, bytes, str, int], _Histogram] = {}

    def count(self, listener: str, rule: str, method: bytes, scheme: str, status: int, seconds: float) -> None:
        """A request of a listener's rule ended with `status`, 0 for none; methods that nobody knows are one."""
        found = self._kinds.get((listener, rule, method, scheme, status))
        if found is None:
            known = method if method in KNOWN_METHODS else _OTHER
            found = self._kinds.setdefault((listener, rule, known, scheme, status), _Histogram())
        found.add(seconds)

    def keep_only(self, is_kept: Callable[[str], bool]) -> None:
        """Forget other listeners' requests."""
        for kind in [kind for kind in self._kinds if not is_kept(kind[0])]:
            del self._kinds[kind]

    def take_changed(self) -> Iterator[DurationStats]:
        """What requests came to since the last call."""
        for (listener, rule, method, scheme, status), each in self._kinds.items():
            if each.count != each.reported:
                each.reported = each.count
                buckets = tuple(each.buckets)
                yield DurationStats(listener, rule, method.decode(), scheme, status, buckets, each.seconds)
