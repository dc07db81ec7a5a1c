"""Route tables, and requests to look up in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meshproxy.protocols.http1.request import RequestHead, parse_request
from meshproxy.routing.paths import normalize_path
from meshproxy.routing.router import Router
from meshproxy.snapshot.routes import PathKind, RouteMatch, RouteTable, Rule, ValueMatch, VirtualHost

ANY = RouteMatch()


def prefix(path: str, **conditions: Any) -> RouteMatch:
    return RouteMatch(path=path, **conditions)


def exact(path: str, **conditions: Any) -> RouteMatch:
    return RouteMatch(path=path, path_kind=PathKind.EXACT, **conditions)


def regex(path: str, **conditions: Any) -> RouteMatch:
    return RouteMatch(path=path, path_kind=PathKind.REGEX, **conditions)


def values(**wanted: str) -> tuple[ValueMatch, ...]:
    """Exact matches by name."""
    return tuple(ValueMatch(name=name, value=value) for name, value in wanted.items())


def make_rule(name: str, *matches: RouteMatch, hostnames: tuple[str, ...] = (), **fields: Any) -> Rule:
    return Rule(
        name=name, route=f"HTTPRoute/{name.partition('/')[0]}", matches=matches or (ANY,), hostnames=hostnames, **fields
    )


def make_table(*rules: Rule, **hosts: tuple[Rule, ...]) -> RouteTable:
    """`rules` for any host, or by hostname (``make_table(**{"a.com": …})``)."""
    by_host = hosts or {"": rules}
    return RouteTable(
        name="table",
        virtual_hosts=tuple(
            VirtualHost(name=host or "any", hostname=host, rules=each) for host, each in by_host.items()
        ),
    )


def fill(table: RouteTable) -> Router[str]:
    """A router that answers a rule's name."""
    router: Router[str] = Router()
    for _ in router.fill(table, lambda rule: rule.name):
        pass
    return router


def make_request(
    target: str = "/", host: str = "example.com", method: str = "GET", headers: Mapping[str, str] | None = None
) -> RequestHead:
    """A request's head as the data plane looks it up."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = parse_request(f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n".encode("latin-1"))
    path = normalize_path(head.path)
    assert path is not None, target
    head.path = path
    return head


def winner(router: Router[str], request: RequestHead) -> str | None:
    found = router.lookup(request)
    return found.target if found is not None else None
