"""Which rules hold for a request, found by the part of it that they name most precisely."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from msgspec.structs import replace

from meshproxy.authorization.wildcards import WildcardMap, matches
from meshproxy.routing.api import Request
from meshproxy.routing.conditions import HeaderTest
from meshproxy.snapshot.authorization import AuthorizationRule, Operation, Source


class Clause(NamedTuple):
    """One of a rule's sources with one of its operations: everything in it must hold."""

    rule: AuthorizationRule
    source: Source
    operation: Operation
    headers: tuple[HeaderTest, ...]


class Asked(NamedTuple):
    """What is asked for. `paths` are all forms in which the request's path may be understood."""

    request: Request
    method: str
    host: str
    paths: tuple[str, ...]


def holds(clause: Clause, asked: Asked) -> bool:
    """Whether the clause's operation is what is asked for."""
    operation = clause.operation
    if operation.methods and asked.method not in operation.methods:
        return False
    if asked.method in operation.not_methods:
        return False
    if operation.hosts and not matches(operation.hosts, asked.host):
        return False
    if matches(operation.not_hosts, asked.host):
        return False
    if operation.paths and not any(matches(operation.paths, path) for path in asked.paths):
        return False
    if operation.not_paths and all(matches(operation.not_paths, path) for path in asked.paths):
        return False
    return all(test.holds(test.value_in(asked.request)) for test in clause.headers)


class OperationIndex:
    """Clauses by path, and under each path by host, and there by method, as far as they name any of these.

    What a look-up tries is what is left: clauses that differ by what is not asked for are not among it.
    """

    __slots__ = ("_any", "_hosts", "_methods", "_paths")

    def __init__(self) -> None:
        self._paths: PatternIndex | None = None
        self._hosts: PatternIndex | None = None
        self._methods: dict[str, OperationIndex] | None = None
        self._any: list[Clause] = []

    def add(self, clause: Clause) -> None:
        """Under each item of the first of the operation's lists that has any, as in `RuleSet`."""
        operation = clause.operation
        if operation.paths:
            self._paths = self._paths or PatternIndex()
            self._paths.add(operation.paths, clause._replace(operation=replace(operation, paths=())))
        elif operation.hosts:
            self._hosts = self._hosts or PatternIndex()
            self._hosts.add(operation.hosts, clause._replace(operation=replace(operation, hosts=())))
        elif operation.methods:
            rest = clause._replace(operation=replace(operation, methods=()))
            self._methods = {} if self._methods is None else self._methods
            for method in operation.methods:
                self._methods.setdefault(method, OperationIndex()).add(rest)
        else:
            self._any.append(clause)

    def find(self, asked: Asked) -> Iterator[Clause]:
        """The clauses whose operation holds."""
        if self._paths is not None:
            for path in asked.paths:
                for index in self._paths.find(path):
                    yield from index.find(asked)
        if self._hosts is not None:
            for index in self._hosts.find(asked.host):
                yield from index.find(asked)
        if self._methods is not None and asked.method in self._methods:
            yield from self._methods[asked.method].find(asked)
        yield from (each for each in self._any if holds(each, asked))

    def every(self) -> Iterator[Clause]:
        """The clauses that hold whatever is asked for."""
        return iter(self._any)


class PatternIndex:
    """An `OperationIndex` for each pattern."""

    __slots__ = ("_by_pattern", "_by_text")

    def __init__(self) -> None:
        self._by_pattern: dict[str, OperationIndex] = {}
        self._by_text: WildcardMap[OperationIndex] = WildcardMap()

    def add(self, patterns: Iterable[str], clause: Clause) -> None:
        """Have `clause` under each of `patterns`."""
        for pattern in patterns:
            index = self._by_pattern.get(pattern)
            if index is None:
                index = self._by_pattern[pattern] = OperationIndex()
                self._by_text.add(pattern, index)
            index.add(clause)

    def find(self, text: str) -> Iterator[OperationIndex]:
        """The index of every pattern that stands for `text`."""
        return self._by_text.find(text)
