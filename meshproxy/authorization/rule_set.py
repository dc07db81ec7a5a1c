"""Rules of one action, by whom they name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network

from msgspec.structs import replace

from meshproxy.authorization.caller import Caller
from meshproxy.authorization.operations import Asked, Clause, OperationIndex, PatternIndex
from meshproxy.authorization.wildcards import matches
from meshproxy.routing.conditions import HeaderTest
from meshproxy.snapshot.authorization import ANY_OPERATION, AuthorizationRule, Operation, Source

Network = IPv4Network | IPv6Network
STEP = 64
"""Clauses that are taken in between two steps of filling, some 5 µs each."""


class RuleSet:
    """Finds the rules that hold for a call; who is in no rule's way is decided without looking at one."""

    __slots__ = ("_accounts", "_anyone", "_namespaces", "_networks", "_principals")

    def __init__(self) -> None:
        self._principals = PatternIndex()
        self._accounts: dict[str, OperationIndex] = {}
        self._namespaces: dict[str, OperationIndex] = {}
        self._networks: dict[tuple[int, int], dict[int, OperationIndex]] = {}
        """By (IP version, bits of the host part), then by the network part."""
        self._anyone = OperationIndex()

    def fill(self, rules: Iterable[AuthorizationRule]) -> Iterator[None]:
        """Take in `rules`, in steps; run the iterator to its end before the first look-up."""
        count = 0
        for rule in rules:
            for source in rule.sources:
                for operation in rule.operations:
                    tests = tuple(map(HeaderTest, operation.headers))
                    self._add(Clause(rule, source, operation, tests))
                    count += 1
                    if count % STEP == 0:
                        yield

    def _add(self, clause: Clause) -> None:
        """Under each item of the first of the source's lists that has any, which so need not be looked at again."""
        source = clause.source
        if source.service_accounts:
            rest = clause._replace(source=replace(source, service_accounts=()))
            for account in source.service_accounts:
                self._accounts.setdefault(account, OperationIndex()).add(rest)
        elif source.principals:
            self._principals.add(source.principals, clause._replace(source=replace(source, principals=())))
        elif source.namespaces:
            rest = clause._replace(source=replace(source, namespaces=()))
            for namespace in source.namespaces:
                self._namespaces.setdefault(namespace, OperationIndex()).add(rest)
        elif source.ip_blocks:
            rest = clause._replace(source=replace(source, ip_blocks=()))
            for block in source.ip_blocks:
                self._index_of_network(block).add(rest)
        else:
            self._anyone.add(clause)

    def _index_of_network(self, block: str) -> OperationIndex:
        network = _network(block)
        bits = network.max_prefixlen - network.prefixlen
        by_part = self._networks.setdefault((network.version, bits), {})
        return by_part.setdefault(int(network.network_address) >> bits, OperationIndex())

    def find(self, caller: Caller, asked: Asked) -> AuthorizationRule | None:
        """A rule that holds for the request, if there is one."""
        for index in self._indexes_of(caller):
            for clause in index.find(asked):
                if is_from(caller, clause.source):
                    return clause.rule
        return None

    def find_any_request(self, caller: Caller) -> AuthorizationRule | None:
        """A rule that holds whatever is asked for: for connections that ask for nothing."""
        for index in self._indexes_of(caller):
            for clause in index.every():
                if is_from(caller, clause.source):
                    return clause.rule
        return None

    def _indexes_of(self, caller: Caller) -> Iterator[OperationIndex]:
        if caller.principal:
            yield from self._principals.find(caller.principal)
            for by_name, name in ((self._accounts, caller.service_account), (self._namespaces, caller.namespace)):
                if name in by_name:
                    yield by_name[name]
        for (version, bits), by_part in self._networks.items():
            if caller.address.version == version and (index := by_part.get(int(caller.address) >> bits)):
                yield index
        yield self._anyone


def is_from(caller: Caller, source: Source) -> bool:
    """Whether `caller` is one of those that `source` names."""
    named = (
        (not source.principals or matches(source.principals, caller.principal))
        and (not source.service_accounts or caller.service_account in source.service_accounts)
        and (not source.namespaces or caller.namespace in source.namespaces)
        and (not source.ip_blocks or _is_in(caller, source.ip_blocks))
    )
    return named and not (
        matches(source.not_principals, caller.principal)
        or caller.service_account in source.not_service_accounts
        or caller.namespace in source.not_namespaces
        or (source.not_ip_blocks and _is_in(caller, source.not_ip_blocks))
    )


def _is_in(caller: Caller, blocks: Iterable[str]) -> bool:
    return any(caller.address in _network(block) for block in blocks)


@lru_cache(4096)
def _network(block: str) -> Network:
    return ip_network(block)


def whatever_is_asked(rules: Iterable[AuthorizationRule]) -> Iterator[AuthorizationRule]:
    """`rules` without what they say of HTTP: so a refusal is the wider where there is no request to look at."""
    for rule in rules:
        yield AuthorizationRule(policy=rule.policy, sources=rule.sources, operations=(ANY_OPERATION,))


def of_connections(rules: Iterable[AuthorizationRule]) -> Iterator[AuthorizationRule]:
    """Those of `rules` that grant more than requests of some kind, and what they grant."""
    for rule in rules:
        operations: tuple[Operation, ...] = tuple(each for each in rule.operations if each == ANY_OPERATION)
        if operations:
            yield AuthorizationRule(policy=rule.policy, sources=rule.sources, operations=operations)
