"""Where the hostnames of listeners and routes meet (Gateway API `HTTPRouteSpec.hostnames`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

WILDCARD = "*."


def meet(one: str, other: str) -> bool:
    """Whether a host can match both. ``""`` is any; ``*.example.com`` is one label or more before ``example.com``."""
    return covers(one, other) or covers(other, one)


def covers(pattern: str, hostname: str) -> bool:
    """Whether every host that matches `hostname` matches `pattern`."""
    if not pattern or pattern == hostname:
        return True
    return pattern.startswith(WILDCARD) and hostname.removeprefix(WILDCARD).endswith(pattern[1:])


def coverers(hostname: str) -> Iterator[str]:
    """Every pattern that covers `hostname`, the most specific first: itself, longer wildcards, any."""
    yield hostname
    at = hostname.find(".", len(WILDCARD) if hostname.startswith(WILDCARD) else 0)
    while at >= 0:
        yield f"*{hostname[at:]}"
        at = hostname.find(".", at + 1)
    if hostname:
        yield ""


def within(listener: str, hostnames: Iterable[str]) -> tuple[str, ...] | None:
    """Those of a route's `hostnames` that meet the listener's, or None where none does; none at all is any.

    They stay as the route has them. With the listener's own hostname before them they match the intersection
    and no more, and of routes that intersect alike the more specific one comes first, as the Gateway API would
    have it (`GatewayRouteHostnameIntersectionPrecedence`).
    """
    folded = dict.fromkeys(each.lower() for each in hostnames)
    meeting = tuple(each for each in folded if meet(listener, each))
    return meeting if meeting or not folded else None


def meeting(listener: str, hostnames: Iterable[str]) -> tuple[str, ...]:
    """What a listener's hostname and a route's have in common; the listener's where the route has none."""
    found = within(listener, hostnames) or ((listener,) if not tuple(hostnames) else ())
    return tuple(dict.fromkeys(listener if covers(each, listener) else each for each in found))
