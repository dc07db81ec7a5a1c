"""Counts of queries, cheap enough for the fast path."""

from __future__ import annotations

from collections.abc import Mapping

_TYPES = frozenset({"A", "AAAA", "ANY", "CNAME", "HTTPS", "MX", "NS", "PTR", "SOA", "SRV", "SVCB", "TXT", "none"})
"""Types that are counted each by itself, and no type, of messages that ask nothing: clients cannot make series."""


class Tally:
    """How many queries of one kind there were, and how many of them the fast path answered."""

    __slots__ = ("fast", "queries")

    def __init__(self) -> None:
        self.queries = 0
        self.fast = 0


class Tallies:
    """Owns the tallies, by (protocol, type of the question, result)."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, str, str], Tally] = {}

    def of(self, protocol: str, question_type: str, rcode: str) -> Tally:
        key = (protocol, question_type if question_type in _TYPES else "other", rcode)
        return self._tallies.setdefault(key, Tally())

    def count(self, protocol: str, question_type: str, rcode: str) -> None:
        self.of(protocol, question_type, rcode).queries += 1

    def queries(self) -> Mapping[tuple[str, str, str], int]:
        """By (``udp`` or ``tcp``, type, result)."""
        return {key: each.queries + each.fast for key, each in sorted(self._tallies.items())}

    @property
    def fast(self) -> int:
        """Queries that were answered from bytes that were known."""
        return sum(each.fast for each in self._tallies.values())
