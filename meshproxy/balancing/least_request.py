"""Least request by the power of two choices: of two drawn at random, the less busy one."""

from __future__ import annotations

from meshproxy.balancing.api import M
from meshproxy.balancing.random_choice import RandomChoice


class LeastRequest(RandomChoice[M]):
    """Envoy's `LEAST_REQUEST` (Mitzenmacher 1996), nginx's `random two least_conn`.

    Both are drawn by weight and compared by active per weight: an idle Service spreads by
    weight, and one under load evens out what each member bears for its weight.
    """

    __slots__ = ()

    def pick(self, key: int) -> M | None:
        if not self._pickable:
            return None
        first, second = self._draw(), self._draw()
        return second if second.active * first.weight < first.active * second.weight else first
