"""How often one may ask: a bucket for each of at most so many askers."""

from __future__ import annotations

from collections import OrderedDict

from meshproxy.balancing.token_bucket import TokenBucket

MAX_KNOWN = 10_000


class RateLimits:
    """`burst` at once and `per_minute` in the long run, for each key. The one who came longest ago is forgotten."""

    def __init__(self, per_minute: int, burst: int) -> None:
        self._per_minute = per_minute
        self._burst = burst
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def take(self, key: str, now: float) -> float:
        """0.0 where `key` may, now; else the seconds until it may."""
        bucket = self._buckets.pop(key, None) or TokenBucket(self._per_minute, 60.0, self._burst)
        self._buckets[key] = bucket
        if len(self._buckets) > MAX_KNOWN:
            self._buckets.popitem(last=False)
        return bucket.take(now)
