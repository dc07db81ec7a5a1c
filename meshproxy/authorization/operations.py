"""Which rules hold for a request, found by the part of it that they name most precisely."""

from __future__ import annotations

from collections.abc import Iterator
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
    """Clauses by path, or else host, or else method; those that name none of these are tried for every request."""

    __slots__ = ("_any", "_hosts", "_methods", "_paths")

    def __init__(self) -> None:
        self._paths: WildcardMap[Clause] = WildcardMap()
        self._hosts: WildcardMap[Clause] = WildcardMap()
        self._methods: dict[str, list[Clause]] = {}
        self._any: list[Clause] = []

    def add(self, clause: Clause) -> None:
        """Under each item of the first of the operation's lists that has any, as in `RuleSet`."""
        operation = clause.operation
        if operation.paths:
            rest = clause._replace(operation=replace(operation, paths=()))
            for path in operation.paths:
                self._paths.add(path, rest)
        elif operation.hosts:
            rest = clause._replace(operation=replace(operation, hosts=()))
            for host in operation.hosts:
                self._hosts.add(host, rest)
        elif operation.methods:
            rest = clause._replace(operation=replace(operation, methods=()))
            for method in operation.methods:
                self._methods.setdefault(method, []).append(rest)
        else:
            self._any.append(clause)

    def find(self, asked: Asked) -> Iterator[Clause]:
        """The clauses whose operation holds."""
        for path in asked.paths:
            yield from (each for each in self._paths.find(path) if holds(each, asked))
        yield from (each for each in self._hosts.find(asked.host) if holds(each, asked))
        yield from (each for each in self._methods.get(asked.method, ()) if holds(each, asked))
        yield from (each for each in self._any if holds(each, asked))

    def every(self) -> Iterator[Clause]:
        """The clauses that hold whatever is asked for."""
        return iter(self._any)
