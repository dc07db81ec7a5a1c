"""Round robin: members in turn, in proportion to their weights, interleaved as smoothly as nginx does it."""

from __future__ import annotations

from collections.abc import Callable

from meshproxy.balancing.api import M
from meshproxy.balancing.membership import Membership
from meshproxy.balancing.weight_classes import WeightClasses


class RoundRobin(Membership[M]):
    """IPVS `rr` and `wrr`. Smooth weighted round robin between weights, in turn within one."""

    def __init__(self, random: Callable[[], float]) -> None:
        super().__init__()
        self._classes: WeightClasses[M] = WeightClasses(random)

    def pick(self, key: int) -> M | None:
        group = self._classes.next_smooth() if self._classes.count else None
        return group.next_member() if group is not None else None

    def _enter(self, member: M) -> None:
        self._classes.add(member)

    def _leave(self, member: M) -> None:
        self._classes.remove(member)
