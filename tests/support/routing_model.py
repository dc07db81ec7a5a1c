"""Routing by trying everything: each match of each rule, then the best by Gateway API precedence.

Written from the specification (`HTTPRouteRule.matches`, `HTTPRouteSpec.hostnames`), without a look at the router's
ways: no dictionaries, no early ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from meshproxy.snapshot.routes import PathKind, RouteMatch, RouteTable, Rule, ValueMatch, VirtualHost


class PlainRequest(NamedTuple):
    """Implements `routing.api.Request` by values, of any bytes."""

    method: bytes = b"GET"
    host: bytes = b"example.com"
    path: bytes = b"/"
    query: bytes = b""
    headers: Mapping[bytes, bytes] = {}
    parameters: Mapping[bytes, bytes] = {}
    cookies: Mapping[bytes, bytes] = {}

    def header(self, name: bytes) -> bytes | None:
        if name == b"cookie" and self.cookies:
            return b"; ".join(b"%b=%b" % pair for pair in self.cookies.items())
        return self.headers.get(name)


Place = tuple[Any, ...]


def expected(table: RouteTable, request: PlainRequest) -> tuple[Rule, RouteMatch] | None:
    """What the specification has for `request`."""
    host = request.host.decode("latin-1")
    hosts = [each for each in table.virtual_hosts if _is_host(each.hostname, False, host)]
    if not hosts:
        return None
    chosen = max(hosts, key=lambda each: _specificity(each.hostname, False))
    found = list(_found(chosen, request, host))
    return max(found, key=lambda each: each[0])[1:] if found else None


def _found(virtual_host: VirtualHost, request: PlainRequest, host: str) -> Iterator[tuple[Place, Rule, RouteMatch]]:
    place = 0
    for rule in virtual_host.rules:
        single = rule.single_label_wildcards
        names = [each for each in rule.hostnames or ("",) if _is_host(each, single, host)]
        for match in rule.matches:
            place -= 1
            if names and _holds(match, request):
                name = max(names, key=lambda each: _specificity(each, single))
                yield (_specificity(name, single), *_precedence(match), place), rule, match


def _is_host(hostname: str, single: bool, host: str) -> bool:
    if not hostname:
        return True
    if not hostname.startswith("*."):
        return hostname == host
    labels = len(host.split(".")) - len(hostname.split("."))
    return host.endswith(hostname[1:]) and len(host) >= len(hostname) and (labels == 0 or (labels > 0 and not single))


def _specificity(hostname: str, single: bool) -> Place:
    return (bool(hostname) and not hostname.startswith("*."), len(hostname), single and hostname.startswith("*."))


def _precedence(match: RouteMatch) -> Place:
    kinds = [PathKind.PREFIX, PathKind.REGEX, PathKind.EXACT]
    path = match.path.rstrip("/") if match.path_kind is PathKind.PREFIX else match.path
    conditions = (match.headers, match.cookies, match.query_params)
    return (kinds.index(match.path_kind), len(path), bool(match.method), *map(len, conditions))


def _holds(match: RouteMatch, request: PlainRequest) -> bool:
    wanted = (
        (match.headers, request.headers),
        (match.query_params, request.parameters),
        (match.cookies, request.cookies),
    )
    return (
        _is_path(match, request.path.decode("latin-1"))
        and match.method in ("", request.method.decode("latin-1"))
        and all(_is_value(each, there) for tests, there in wanted for each in tests)
    )


def _is_path(match: RouteMatch, path: str) -> bool:
    match match.path_kind:
        case PathKind.EXACT:
            return path == match.path
        case PathKind.REGEX:
            return re.fullmatch(match.path, path, re.DOTALL) is not None
    prefix = match.path.rstrip("/")
    return path == prefix or path.startswith(prefix + "/") or not prefix


def _is_value(match: ValueMatch, there: Mapping[bytes, bytes]) -> bool:
    value = there.get(match.name.encode())
    if value is None:
        return False
    if match.regex:
        return re.fullmatch(match.value.encode(), value, re.DOTALL) is not None
    return value == match.value.encode()
