"""Members, filled balancers and what a pick costs, for the tests of balancing."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any, TypeVar

import meshproxy.balancing
from meshproxy.balancing.api import Balancer, Member
from meshproxy.balancing.factory import make_balancer
from meshproxy.base.stable_hash import stable_hash
from meshproxy.snapshot.model import Algorithm

T = TypeVar("T")
_PACKAGE = str(Path(meshproxy.balancing.__file__).parent)


def make_members(weights: Mapping[str, int] | Iterable[int]) -> list[Member]:
    """Members by key and weight, or named m0, m1 and so on."""
    if not isinstance(weights, Mapping):
        weights = {f"m{number}": weight for number, weight in enumerate(weights)}
    return [Member(key, weight) for key, weight in weights.items()]


def replace(balancer: Balancer[Any], members: Sequence[Member]) -> int:
    """Replace the members at once; how many steps it took."""
    return sum(1 for _ in balancer.replace(members))


def make_filled(algorithm: Algorithm, members: Sequence[Member], seed: int = 1) -> Balancer[Any]:
    balancer = make_balancer(algorithm, Random(seed).random)
    replace(balancer, members)
    return balancer


def finish(building: Generator[None, None, T]) -> T:
    """Run all steps of building a table."""
    while True:
        try:
            next(building)
        except StopIteration as finished:
            table: T = finished.value
            return table


def client(number: int) -> int:
    """The hash of one of many clients."""
    return stable_hash(f"client {number}")


def owners(balancer: Balancer[Any], clients: int) -> list[str | None]:
    """Whom each client gets, by key."""
    picked = (balancer.pick(client(number)) for number in range(clients))
    return [member.key if member is not None else None for member in picked]


def pick_counts(balancer: Balancer[Any], picks: int) -> Counter[str | None]:
    return Counter(owners(balancer, picks))


def lines_run(action: Callable[[], object]) -> int:
    """The lines of the balancing package that `action` runs: what it costs, without a clock."""
    lines = 0

    def count(frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        nonlocal lines
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            return None
        lines += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        action()
    finally:
        sys.settrace(before)
    return lines
