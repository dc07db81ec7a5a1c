"""Least request by the power of two choices: of two drawn at random, the less busy one."""

from __future__ import annotations

from meshproxy.balancing.api import M
from meshproxy.balancing.random_choice import RandomChoice


class LeastRequest(RandomChoice[M]):
    """Envoy's `LEAST_REQUEST` (Mitzenmacher 1996). Both are drawn by weight, and compared by active per weight."""

    def pick(self, key: int) -> M | None:
        if not self._classes.count:
            return None
        first, second = self._classes.random_member(), self._classes.random_member()
        if first is None or second is None:
            return first or second
        return second if second.active * first.weight < first.active * second.weight else first
