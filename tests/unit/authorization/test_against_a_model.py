"""The index finds what a search through all rules finds, and looks at few of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.authorization import operations, rule_set
from meshproxy.authorization.caller import Caller
from meshproxy.authorization.operations import Asked, Clause
from meshproxy.authorization.rule_set import RuleSet, is_from
from meshproxy.snapshot.authorization import AuthorizationRule, Operation, Source
from tests.support.authorization import make_rule
from tests.support.routing import make_request

_ACCOUNTS = st.sampled_from(["a/x", "a/y", "b/x"])
_NAMESPACES = st.sampled_from(["a", "b"])
_PRINCIPALS = st.sampled_from(["spiffe://t/ns/a/sa/x", "spiffe://t/ns/a/*", "*", "spiffe://t/ns/b/sa/x"])
_BLOCKS = st.sampled_from(["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "::/0"])
_PATHS = st.sampled_from(["/", "/a", "/a*", "/a/*", "*b", "*"])
_METHODS = st.sampled_from(["GET", "PUT"])
_HOSTS = st.sampled_from(["h", "*.h", "g*"])


def _some(items: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(items, max_size=2, unique=True).map(tuple)


_SOURCES = st.builds(
    Source,
    principals=_some(_PRINCIPALS),
    namespaces=_some(_NAMESPACES),
    service_accounts=_some(_ACCOUNTS),
    ip_blocks=_some(_BLOCKS),
    not_principals=_some(_PRINCIPALS),
    not_ip_blocks=_some(_BLOCKS),
)
_OPERATIONS = st.builds(
    Operation, paths=_some(_PATHS), not_paths=_some(_PATHS), methods=_some(_METHODS), hosts=_some(_HOSTS)
)
_RULES = st.lists(st.tuples(_SOURCES, _OPERATIONS), max_size=6)


@given(
    _RULES,
    st.sampled_from(["", "spiffe://t/ns/a/sa/x", "spiffe://t/ns/b/sa/y", "spiffe://t/other"]),
    st.sampled_from(["10.1.2.3", "10.9.9.9", "192.0.2.1", "::1"]),
    st.sampled_from(["/", "/a", "/ab", "/a/b", "/c"]),
    st.sampled_from(["GET", "PUT", "POST"]),
    st.sampled_from(["h", "x.h", "gg"]),
)
def test_as_a_search_through_all(
    parts: list[tuple[Source, Operation]], principal: str, ip: str, path: str, method: str, host: str
) -> None:
    rules = [make_rule(str(index), *each) for index, each in enumerate(parts)]
    caller = Caller(principal, ip)
    asked = Asked(make_request(path, host, method), method, host, (path,))
    expected = {
        rule.policy
        for rule, (source, operation) in zip(rules, parts, strict=True)
        if is_from(caller, source) and operations.holds(Clause(rule, source, operation, ()), asked)
    }
    found = _filled(rules).find(caller, asked)
    assert (found.policy in expected) if found is not None else not expected


def test_rules_for_others_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rules are for other callers, paths, hosts, or methods, the conditions of one are tried."""
    tried: list[Clause] = []

    def counting(clause: Clause, asked: Asked) -> bool:
        tried.append(clause)
        return holds(clause, asked)

    holds = operations.holds
    monkeypatch.setattr(operations, "holds", counting)
    caller = Caller("spiffe://t/ns/a/sa/s7", "10.0.0.7")
    asked = Asked(make_request("/p7/x"), "M7", "h7.example", ("/p7/x",))
    for count in (10, 10_000):
        for rules in (
            [make_rule(str(n), Source(service_accounts=(f"a/s{n}",))) for n in range(count)],
            [make_rule(str(n), Source(ip_blocks=(f"10.0.{n // 256}.{n % 256}/32",))) for n in range(count)],
            [make_rule(str(n), operation=Operation(paths=(f"/p{n}/*",))) for n in range(count)],
            [make_rule(str(n), operation=Operation(paths=("/*",), hosts=(f"h{n}.example",))) for n in range(count)],
            [make_rule(str(n), operation=Operation(hosts=("*.example",), methods=(f"M{n}",))) for n in range(count)],
        ):
            tried.clear()
            found = _filled(rules).find(caller, asked)
            assert found is not None
            assert [found.policy, len(tried)] == ["7", 1]


def _filled(rules: list[AuthorizationRule]) -> RuleSet:
    filled = RuleSet()
    steps = sum(1 for _ in filled.fill(rules))
    assert steps == len(rules) // rule_set.STEP
    return filled
