"""Random: drawn with probability proportional to the weight."""

from __future__ import annotations

from collections.abc import Callable

from meshproxy.balancing.api import M
from meshproxy.balancing.membership import Membership
from meshproxy.balancing.weight_classes import WeightClasses


class RandomChoice(Membership[M]):
    """Envoy's `RANDOM`, with weights."""

    def __init__(self, random: Callable[[], float]) -> None:
        super().__init__()
        self._classes: WeightClasses[M] = WeightClasses(random)

    def pick(self, key: int) -> M | None:
        return self._classes.random_member() if self._classes.count else None

    def _enter(self, member: M) -> None:
        self._classes.add(member)

    def _leave(self, member: M) -> None:
        self._classes.remove(member)
