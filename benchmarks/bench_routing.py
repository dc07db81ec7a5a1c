"""How long finding a request's rule takes among few and among many: ``python -m benchmarks.bench_routing``."""

from __future__ import annotations

import time

from benchmarks.routes import FEW, MANY
from meshproxy.protocols.http1.request import RequestHead, parse_request
from meshproxy.routing.router import Router
from meshproxy.snapshot.routes import PathKind, RouteMatch, RouteTable, Rule, VirtualHost

LOOKUPS = 1000
REPEATS = 30


def make_router(count: int) -> Router[Rule]:
    """A router with `count` prefix routes of one host."""
    rules = tuple(
        Rule(name=str(index), route="r", matches=(RouteMatch(path=f"/r{index}", path_kind=PathKind.PREFIX),))
        for index in range(count)
    )
    router: Router[Rule] = Router()
    table = RouteTable(name="t", virtual_hosts=(VirtualHost(name="v", hostname="a.bench", rules=rules),))
    for _ in router.fill(table, lambda rule: rule):
        pass
    return router


def nanoseconds(router: Router[Rule], heads: list[RequestHead]) -> float:
    """The best of several runs, for one lookup."""
    best = float("inf")
    for _ in range(REPEATS):
        began = time.perf_counter()
        for head in heads:
            router.lookup(head)
        best = min(best, time.perf_counter() - began)
    return best / len(heads) * 1e9


def main() -> None:
    for count in (FEW, MANY):
        heads = [
            parse_request(b"GET /r%d/item HTTP/1.1\r\nHost: a.bench\r\n\r\n" % (7 * index % count))
            for index in range(LOOKUPS)
        ]
        print(f"{count:5,} prefix routes: {nanoseconds(make_router(count), heads):.0f} ns a lookup")


if __name__ == "__main__":
    main()
