"""The routes that every proxy of the L7 benchmark is given: two hosts, one with few routes and one with many."""

from __future__ import annotations

from dataclasses import dataclass

FEW, MANY = 10, 1000


@dataclass(frozen=True)
class Host:
    """A hostname with `count` routes for the prefixes `/r0`, `/r1` …, and with its `others`."""

    name: str
    count: int
    others: tuple[str, ...] = ()

    @property
    def prefixes(self) -> tuple[str, ...]:
        return (*(f"/r{index}" for index in range(self.count)), *self.others)


BODIES = ("/medium", "/bulk", "/upload")
FEW_ROUTES = Host("few.bench", FEW - len(BODIES), BODIES)
MANY_ROUTES = Host("many.bench", MANY)
HOSTS = (FEW_ROUTES, MANY_ROUTES)


def route_names() -> list[tuple[str, str, str]]:
    """(name, hostname, prefix) of every route."""
    return [(f"{host.name}{prefix.replace('/', '-')}", host.name, prefix) for host in HOSTS for prefix in host.prefixes]
