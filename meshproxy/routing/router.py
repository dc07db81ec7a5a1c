"""From a request to its rule: host, then path, then what else the rule asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from meshproxy.routing.api import Request
from meshproxy.routing.hosts import HostMap
from meshproxy.routing.path_index import Candidate, PathIndex
from meshproxy.snapshot.routes import PathKind, RouteMatch, RouteTable, Rule, VirtualHost

T = TypeVar("T")
STEP = 64
"""What is done between two steps of filling: so many matches taken in for a hostname, 3 µs each."""
RULE_COST = 3
"""Making a rule's target takes as long as so many of them."""
PATTERN_COST = 12
"""Compiling a regular expression, likewise."""


class _RulesOfHost(Generic[T]):
    """The rules of one virtual host, by their own hostnames."""

    __slots__ = ("paths",)

    def __init__(self) -> None:
        self.paths: HostMap[PathIndex[T]] = HostMap()

    def find(self, request: Request) -> Candidate[T] | None:
        alone = self.paths.only_any
        if alone is not None:
            return alone.find(request)
        for index in self.paths.all(request.host):
            candidate = index.find(request)
            if candidate is not None:
                return candidate
        return None


class Router(Generic[T]):
    """A route table that can be asked; `T` is what the caller makes of a rule."""

    __slots__ = ("_hosts", "_only")

    def __init__(self) -> None:
        self._hosts: HostMap[_RulesOfHost[T]] = HostMap()
        self._only: PathIndex[T] | None = None

    def fill(self, table: RouteTable, target_of: Callable[[Rule], T]) -> Iterator[None]:
        """Take in `table`, in steps; run the iterator to its end before the first `lookup`."""
        cost = 0
        for virtual_host in table.virtual_hosts:
            host: _RulesOfHost[T] = self._hosts.setdefault(virtual_host.hostname, False, _RulesOfHost)
            for each in self._fill_host(host, virtual_host, target_of):
                cost += each
                if cost >= STEP:
                    cost = 0
                    yield
        only = self._hosts.only_any
        self._only = only.paths.only_any if only is not None else None

    def _fill_host(
        self, host: _RulesOfHost[T], virtual_host: VirtualHost, target_of: Callable[[Rule], T]
    ) -> Iterator[int]:
        """Yields what each piece of the work cost."""
        order = 0
        for rule in virtual_host.rules:
            target = target_of(rule)
            yield RULE_COST
            for match in rule.matches:
                candidate = Candidate(rule, match, target, order)
                order += 1
                yield _cost(match)
                for hostname in rule.hostnames or ("",):
                    index: PathIndex[T] = host.paths.setdefault(hostname, rule.single_label_wildcards, PathIndex)
                    index.add(candidate)
                    yield 1

    def lookup(self, request: Request) -> Candidate[T] | None:
        """The rule for `request`, or None.

        The virtual host is the one with the most specific hostname, whether or not a rule of it matches (listener
        isolation). In it, rules with a more specific hostname go before others that match as well.
        """
        if self._only is not None:
            return self._only.find(request)
        host = self._hosts.best(request.host)
        return host.find(request) if host is not None else None


def _cost(match: RouteMatch) -> int:
    patterns = sum(each.regex for each in (*match.headers, *match.query_params, *match.cookies))
    return 1 + PATTERN_COST * (patterns + (match.path_kind is PathKind.REGEX))
