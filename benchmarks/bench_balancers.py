"""What a pick costs with 10 to 10,000 endpoints, and what a change of the endpoints costs.

    python benchmarks/bench_balancers.py [--json FILE] [--quick]

A pick must cost the same with 10,000 endpoints as with 10. A change is made in steps between
which a worker serves connections, so its longest step matters more than its length.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from time import perf_counter, perf_counter_ns
from typing import Any

from meshproxy.balancing.api import Balancer, Member
from meshproxy.balancing.factory import make_balancer
from meshproxy.base.stable_hash import stable_hash
from meshproxy.snapshot.model import Algorithm

SIZES = (10, 100, 1000, 10_000)
ROUNDS = 7
WEIGHTS: dict[str, Callable[[Random], int]] = {
    "equal": lambda random: 100,
    "1 to 100": lambda random: random.randint(1, 100),
}
Hold = Sequence[Member]


@dataclass(frozen=True)
class Picks:
    """Nanoseconds by number of endpoints: a pick alone, and with `acquire` and `release` as a connection does it."""

    algorithm: str
    weights: str
    pick_ns: dict[int, float]
    connection_ns: dict[int, float]
    mostly_out_ns: dict[int, float]

    @property
    def ratio(self) -> float:
        return self.pick_ns[SIZES[-1]] / self.pick_ns[SIZES[0]]


@dataclass(frozen=True)
class Change:
    """One `replace` of 10,000 endpoints: how long altogether, in how many steps, and how long one takes."""

    algorithm: str
    what: str
    total_ms: float
    steps: int
    longest_step_ms: float
    p99_step_ms: float


def make_members(count: int, weight: Callable[[Random], int]) -> list[Member]:
    random = Random(count)
    return [Member(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}:8080", weight(random)) for n in range(count)]


def make_filled(algorithm: Algorithm, members: Sequence[Member]) -> Balancer[Any]:
    balancer = make_balancer(algorithm, Random(1).random)
    for _ in balancer.replace(members):
        pass
    return balancer


def measure_picks(algorithm: Algorithm, weights: str, picks: int) -> Picks:
    by_size = [make_filled(algorithm, make_members(size, WEIGHTS[weights])) for size in SIZES]
    busy = [make_loaded(algorithm, make_members(size, WEIGHTS[weights])) for size in SIZES]
    few = [make_mostly_out(algorithm, make_members(size, WEIGHTS[weights])) for size in SIZES]
    keys = [stable_hash(str(number)) for number in range(picks)]
    return Picks(
        algorithm=algorithm.value,
        weights=weights,
        pick_ns=best_of(by_size, keys, time_picks),
        connection_ns=best_of(busy, keys, time_connections),
        mostly_out_ns=best_of(few, keys, time_picks),
    )


def make_loaded(algorithm: Algorithm, members: Sequence[Member]) -> Balancer[Any]:
    """Two connections to every member on average."""
    balancer = make_filled(algorithm, members)
    for number in range(2 * len(members)):
        balancer.acquire(balancer.pick(stable_hash(str(number))))
    return balancer


def make_mostly_out(algorithm: Algorithm, members: Sequence[Member]) -> Balancer[Any]:
    """One in ten of the members is available."""
    balancer = make_filled(algorithm, members)
    for number, member in enumerate(members):
        balancer.set_available(member, number % 10 == 0)
    return balancer


def best_of(
    balancers: Sequence[Balancer[Any]], keys: Sequence[int], measure: Callable[[Balancer[Any], Sequence[int]], float]
) -> dict[int, float]:
    """The least of several rounds, in which the sizes take turns: noise of the machine only ever adds."""
    least = dict.fromkeys(SIZES, float("inf"))
    for _ in range(ROUNDS):
        for size, balancer in zip(SIZES, balancers, strict=True):
            least[size] = min(least[size], measure(balancer, keys))
    return {size: round(each, 1) for size, each in least.items()}


def time_picks(balancer: Balancer[Any], keys: Sequence[int]) -> float:
    pick = balancer.pick
    begin = perf_counter_ns()
    for key in keys:
        pick(key)
    return (perf_counter_ns() - begin) / len(keys)


def time_connections(balancer: Balancer[Any], keys: Sequence[int]) -> float:
    pick, acquire, release = balancer.pick, balancer.acquire, balancer.release
    begin = perf_counter_ns()
    for key in keys:
        member = pick(key)
        acquire(member)
        release(member)
    return (perf_counter_ns() - begin) / len(keys)


def measure_changes(algorithm: Algorithm) -> list[Change]:
    members = make_members(SIZES[-1], WEIGHTS["equal"])
    balancer = make_balancer(algorithm, Random(1).random)
    changes = (("fill", members), ("remove one", members[1:]), ("no change", members[1:]))
    return [time_change(algorithm, what, balancer, wanted) for what, wanted in changes]


def time_change(algorithm: Algorithm, what: str, balancer: Balancer[Any], members: Sequence[Member]) -> Change:
    gc.collect()
    steps: list[float] = []
    begin = perf_counter()
    for _ in balancer.replace(members):
        end = perf_counter()
        steps.append(1000 * (end - begin))
        begin = end
    steps.append(1000 * (perf_counter() - begin))
    p99 = sorted(steps)[len(steps) * 99 // 100]
    return Change(algorithm.value, what, round(sum(steps), 1), len(steps), round(max(steps), 2), round(p99, 2))


def print_picks(results: Sequence[Picks]) -> None:
    head = "".join(f"{size:>8,}" for size in SIZES)
    print(f"{'nanoseconds':<18}{'weights':<10}{head}   10,000 : 10   connection  9 of 10 out")
    for each in results:
        row = "".join(f"{each.pick_ns[size]:8.0f}" for size in SIZES)
        last = f"{each.connection_ns[SIZES[-1]]:10.0f}   {each.mostly_out_ns[SIZES[-1]]:10.0f}"
        print(f"{each.algorithm:<18}{each.weights:<10}{row}   {each.ratio:11.2f}   {last}")


def print_changes(changes: Sequence[Change]) -> None:
    print(f"\n{'10,000 endpoints':<18}{'change':<12}{'ms':>8}{'steps':>8}{'longest ms':>12}{'p99 ms':>8}")
    for each in changes:
        row = f"{each.total_ms:8.1f}{each.steps:8}{each.longest_step_ms:12.2f}{each.p99_step_ms:8.2f}"
        print(f"{each.algorithm:<18}{each.what:<12}{row}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here as well")
    parser.add_argument("--quick", action="store_true", help="a tenth of the picks: a look, not a measurement")
    options = parser.parse_args()
    gc.disable()
    picks = [
        measure_picks(each, weights, 2000 if options.quick else 20_000) for each in Algorithm for weights in WEIGHTS
    ]
    print_picks(picks)
    changes = [change for algorithm in Algorithm for change in measure_changes(algorithm)]
    print_changes(changes)
    if options.json:
        report = {
            "python": sys.version.split()[0],
            "picks": [asdict(each) | {"ratio": round(each.ratio, 3)} for each in picks],
            "changes": [asdict(each) for each in changes],
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
