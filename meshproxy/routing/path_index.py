"""Rules by path, in Gateway API precedence: Exact, then RegularExpression, then the longest PathPrefix.

The specification leaves regular expressions to the implementation; they stand where Envoy Gateway has them, those with
the longer pattern first.
"""

from __future__ import annotations

from bisect import insort
from typing import Final, Generic, TypeVar

from meshproxy.base.regex import Pattern, compile_pattern
from meshproxy.routing.api import Request
from meshproxy.routing.conditions import Conditions, Seen
from meshproxy.snapshot.routes import PathKind, RouteMatch, Rule

T = TypeVar("T")
_SLASH: Final = 0x2F


class Candidate(Generic[T]):
    """One match of a rule. `target` is what the caller made of the rule."""

    __slots__ = ("_order", "conditions", "match", "pattern", "prefix", "rule", "target")

    def __init__(self, rule: Rule, match: RouteMatch, target: T, order: int) -> None:
        self.rule = rule
        self.match = match
        self.target = target
        conditions = Conditions(match)
        self.conditions = conditions if conditions.any else None
        self.prefix = match.path.encode()
        """The path as the match has it, which a rewrite may replace."""
        self.pattern: Pattern | None = compile_pattern(match.path) if match.path_kind is PathKind.REGEX else None
        method, headers, cookies, query = conditions.rank
        self._order = (not method, -headers, -cookies, -query, order)

    @property
    def order(self) -> tuple[bool, int, int, int, int]:
        """What comes first among candidates of one path is tried first."""
        return self._order


class PathIndex(Generic[T]):
    """Finds the candidate for a path in a number of steps that depends on the path's segments only."""

    __slots__ = ("_exact", "_longest", "_patterns", "_prefixes")

    def __init__(self) -> None:
        self._exact: dict[bytes, list[Candidate[T]]] = {}
        self._patterns: list[Candidate[T]] = []
        self._prefixes: dict[bytes, list[Candidate[T]]] = {}
        self._longest = 0

    def add(self, candidate: Candidate[T]) -> None:
        match = candidate.match
        if match.path_kind is PathKind.EXACT:
            insort(self._exact.setdefault(candidate.prefix, []), candidate, key=_order)
        elif match.path_kind is PathKind.PREFIX:
            prefix = candidate.prefix.rstrip(b"/")
            insort(self._prefixes.setdefault(prefix, []), candidate, key=_order)
            self._longest = max(self._longest, len(prefix))
        else:
            insort(self._patterns, candidate, key=_pattern_order)

    def find(self, request: Request) -> Candidate[T] | None:
        """The candidate that goes before all others that match `request`."""
        path = request.path
        seen: Seen = {}
        if self._exact:
            found = self._exact.get(path)
            if found is not None:
                for candidate in found:
                    if candidate.conditions is None or candidate.conditions.hold(request, seen):
                        return candidate
        for candidate in self._patterns:
            pattern = candidate.pattern
            if pattern is None or pattern.fullmatch(path) is None:
                continue
            if candidate.conditions is None or candidate.conditions.hold(request, seen):
                return candidate
        return self._find_prefix(path, request, seen)

    def _find_prefix(self, path: bytes, request: Request, seen: Seen) -> Candidate[T] | None:
        """Look from the longest prefix that there is to the shortest, segment by segment."""
        prefixes, longest = self._prefixes, self._longest
        if len(path) > longest and path[longest] != _SLASH:
            path = path[: path.rfind(b"/", 0, longest + 1)] if longest else b""
        else:
            path = path[:longest]
        while True:
            found = prefixes.get(path)
            if found is not None:
                for candidate in found:
                    if candidate.conditions is None or candidate.conditions.hold(request, seen):
                        return candidate
            if not path:
                return None
            path = path[: max(path.rfind(b"/"), 0)]


def _order(candidate: Candidate[T]) -> tuple[bool, int, int, int, int]:
    return candidate.order


def _pattern_order(candidate: Candidate[T]) -> tuple[int, tuple[bool, int, int, int, int]]:
    return -len(candidate.match.path), candidate.order
