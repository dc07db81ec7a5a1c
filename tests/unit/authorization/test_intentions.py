"""Who may call what by Consul's intentions: from what its API answers to a verdict."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshproxy.authorization.authorizer import NO_POLICY, Verdict
from meshproxy.authorization.caller import Caller
from meshproxy.authorization.intentions import NO_SERVICE, STEP, IntentionSet
from meshproxy.compiler.intentions import IntentionIndex
from meshproxy.resources import Proxy
from meshproxy.snapshot.authorization import Intention, Source
from tests.support.authorization import make_authorizer, make_rule, verdict
from tests.support.intentions import PROXY, authorizer, converted, entry, permission
from tests.support.loading import load_text

ALLOWED = Verdict(True)


def service(name: str, namespace: str = "default") -> str:
    return f"spiffe://1234.consul/ns/{namespace}/dc/dc1/svc/{name}"


CART, SHOP = service("cart"), service("shop")


@pytest.mark.parametrize("default", [True, False])
def test_without_an_intention_consuls_default_decides(default: bool) -> None:
    expected = ALLOWED if default else Verdict(False, "no intention for web")
    assert verdict(authorizer(default=default), principal=CART) == expected
    assert verdict(authorizer(default=default)) == expected
    assert authorizer(default=default, http=False).of_connection(Caller(CART, "10.0.0.1")) == expected


@pytest.mark.parametrize("default", [True, False])
def test_an_intention_is_about_its_source(default: bool) -> None:
    judge = authorizer(entry("cart", "deny"), entry("shop", "allow"), default=default)
    assert verdict(judge, principal=CART) == Verdict(False, "Intention/cart => web")
    assert verdict(judge, principal=SHOP) == ALLOWED
    assert verdict(judge, principal=service("cart2")).allowed is default
    assert verdict(judge, principal=service("cart", "other")).allowed is default


def test_the_precedence_is_consuls() -> None:
    """A destination's own go before those of all, and of these a source's own (Consul, "Precedence")."""
    entries = [entry("*", "deny", "*"), entry("cart", "allow", "*"), entry("*", "deny"), entry("cart", "allow")]
    assert verdict(authorizer(*entries), principal=CART) == ALLOWED
    assert verdict(authorizer(*entries[:3]), principal=CART) == Verdict(False, "Intention/* => web")
    assert verdict(authorizer(*entries[:2]), principal=CART) == ALLOWED
    assert verdict(authorizer(*entries[:1]), principal=CART) == Verdict(False, "Intention/* => *")


def test_namespaces_of_consul_enterprise() -> None:
    entries = [
        entry("cart", "allow", SourceNS="billing"),
        entry("*", "deny", SourceNS="billing"),
        entry("*", "allow", SourceNS="*", Precedence=7),
    ]
    judge = authorizer(*entries, default=False)
    assert verdict(judge, principal=service("cart", "billing")) == ALLOWED
    assert verdict(judge, principal=service("shop", "billing")) == Verdict(False, "Intention/*.billing => web")
    assert verdict(judge, principal=service("shop", "other")) == ALLOWED


@pytest.mark.parametrize(
    ("entries", "default", "policy"),
    [
        ([], True, ""),
        ([], False, "no intention for web"),
        ([entry("cart", "deny")], True, ""),
        ([entry("*", "deny")], True, "Intention/* => web"),
        ([entry("*", "allow")], True, ""),
        ([entry("*", "allow")], False, "no intention for web"),
        ([entry("*", Permissions=[permission("allow", PathPrefix="/")])], True, "Intention/* => web"),
    ],
)
def test_who_has_no_identity_may_what_everybody_may(entries: list[dict[str, Any]], default: bool, policy: str) -> None:
    assert verdict(authorizer(*entries, default=default)) == Verdict(not policy, policy)


def test_an_identity_that_is_no_services_is_refused() -> None:
    judge = authorizer(entry("*", "allow"))
    for path in ("/agent/client/dc/dc1/id/node-1", "/gateway/mesh/dc/dc1", "/ap/billing/ns/default/dc/dc1/svc/cart"):
        assert verdict(judge, principal=f"spiffe://1234.consul{path}") == Verdict(False, NO_SERVICE)
        connections = authorizer(entry("*", "allow"), http=False)
        assert not connections.of_connection(Caller(f"spiffe://1234.consul{path}", "10.0.0.1")).allowed


def test_policies_and_intentions_must_both_allow() -> None:
    intentions = (
        Intention(destination="web", source="default/cart", policy="i", allow=True),
        Intention(destination="web", source="*", policy="j"),
    )
    not_cart = make_rule("p", Source(service_accounts=("default/cart",)))
    judge = make_authorizer(intentions=intentions, deny=(not_cart,))
    assert verdict(judge, principal=CART) == Verdict(False, "p")
    assert verdict(judge, principal=SHOP) == Verdict(False, "j")
    judge = make_authorizer(intentions=intentions, allow=(make_rule("p", Source(namespaces=("x",))),))
    assert verdict(judge, principal=CART) == Verdict(False, NO_POLICY)
    judge = make_authorizer(intentions=intentions, audit=(make_rule("p"),))
    assert verdict(judge, principal=CART) == Verdict(True, "", "p")
    assert verdict(judge, principal=SHOP) == Verdict(False, "j", "p")


def test_every_destination_must_allow() -> None:
    """What a program here is by its identity, and by the name that it has among the services here."""
    proxy = load_text(PROXY.replace("name: web, port", "name: admin, port")).resources[0]
    assert isinstance(proxy, Proxy)
    known, _ = converted(entry("cart", "allow"), default=False)
    judge = make_authorizer(intentions=IntentionIndex([known], proxy).of("admin").intentions)
    assert verdict(judge, principal=CART) == Verdict(False, "unknown intentions for admin")
    assert verdict(judge, principal=SHOP) == Verdict(False, "no intention for web")


# -- permissions -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("http", "request_of", "holds"),
    [
        ({}, {}, True),
        ({"PathExact": "/a"}, {"target": "/a?x=1"}, True),
        ({"PathExact": "/a"}, {"target": "/a/"}, False),
        ({"PathPrefix": "/a"}, {"target": "/ab"}, True),
        ({"PathPrefix": "/a"}, {"target": "/b/../a"}, True),
        ({"PathPrefix": "/a/"}, {"target": "/a"}, False),
        ({"PathRegex": "/[ab]"}, {"target": "/b"}, True),
        ({"PathRegex": "/[ab]"}, {"target": "/bc"}, False),
        ({"Methods": ["GET", "HEAD"]}, {"method": "HEAD"}, True),
        ({"Methods": ["GET"]}, {"method": "POST"}, False),
        ({"PathPrefix": "/a", "Methods": ["GET"]}, {"target": "/a", "method": "POST"}, False),
        ({"Header": [{"Name": "X-A", "Present": True}]}, {"headers": {"X-A": ""}}, True),
        ({"Header": [{"Name": "X-A", "Present": True}]}, {}, False),
        ({"Header": [{"Name": "X-A", "Exact": "a.b"}]}, {"headers": {"x-a": "a.b"}}, True),
        ({"Header": [{"Name": "X-A", "Exact": "a.b"}]}, {"headers": {"x-a": "acb"}}, False),
        ({"Header": [{"Name": "X-A", "Exact": "ab", "IgnoreCase": True}]}, {"headers": {"x-a": "AB"}}, True),
        ({"Header": [{"Name": "X-A", "Prefix": "(a"}]}, {"headers": {"x-a": "(a b\xff"}}, True),
        ({"Header": [{"Name": "X-A", "Prefix": "a"}]}, {"headers": {"x-a": "ba"}}, False),
        ({"Header": [{"Name": "X-A", "Suffix": "a"}]}, {"headers": {"x-a": "ba"}}, True),
        ({"Header": [{"Name": "X-A", "Contains": "b"}]}, {"headers": {"x-a": "abc"}}, True),
        ({"Header": [{"Name": "X-A", "Contains": "B"}]}, {"headers": {"x-a": "abc"}}, False),
        ({"Header": [{"Name": "X-A", "Regex": "[0-9]+"}]}, {"headers": {"x-a": "12"}}, True),
        ({"Header": [{"Name": "X-A", "Regex": "[0-9]+"}]}, {"headers": {"x-a": "12a"}}, False),
        ({"Header": [{"Name": "X-A", "Exact": "a", "Invert": True}]}, {"headers": {"x-a": "b"}}, True),
        ({"Header": [{"Name": "X-A", "Exact": "a", "Invert": True}]}, {"headers": {"x-a": "a"}}, False),
        ({"Header": [{"Name": "X-A", "Exact": "a", "Invert": True}]}, {}, False),
        ({"Header": [{"Name": "X-A", "Present": True, "Invert": True}]}, {}, True),
        ({"Header": [{"Name": "X-A", "Present": True, "Invert": True}]}, {"headers": {"x-a": "b"}}, False),
        ({"Header": [{"Name": "X-A", "Exact": "a"}, {"Name": "X-B", "Exact": "b"}]}, {"headers": {"x-a": "a"}}, False),
    ],
)
def test_what_a_permission_is_about(http: dict[str, Any], request_of: dict[str, Any], holds: bool) -> None:
    for action, default in (("allow", False), ("deny", True)):
        judge = authorizer(entry("cart", Permissions=[permission(action, **http)]), default=default)
        assert verdict(judge, principal=CART, **request_of).allowed is (holds if action == "allow" else not holds)


def test_the_first_permission_that_holds_decides_and_then_the_default() -> None:
    permissions = [
        permission("deny", PathExact="/items/secret"),
        permission("allow", PathPrefix="/items"),
        permission("deny", PathPrefix="/admin"),
    ]
    for default in (True, False):
        judge = authorizer(entry("cart", Permissions=permissions), default=default)
        assert not verdict(judge, "/items/secret", principal=CART).allowed
        assert verdict(judge, "/items/1", principal=CART).allowed
        assert verdict(judge, "/admin", principal=CART) == Verdict(False, "Intention/cart => web")
        assert verdict(judge, "/other", principal=CART).allowed is default


@pytest.mark.parametrize("target", ["//admin/x", "/%2Fadmin/x", "/a%2F..%2Fadmin/x", "/%61dmin/x"])
def test_a_refusal_holds_for_every_way_to_read_a_path(target: str) -> None:
    judge = authorizer(entry("cart", Permissions=[permission("deny", PathPrefix="/admin/")]))
    assert not verdict(judge, target, principal=CART).allowed
    judge = authorizer(entry("cart", Permissions=[permission("allow", PathPrefix="/admin/")]), default=False)
    assert verdict(judge, target, principal=CART).allowed is (target == "/%61dmin/x")


def test_a_connection_without_requests_may_not_what_only_some_requests_may() -> None:
    connection = Caller(CART, "10.0.0.1")
    some = entry("cart", Permissions=[permission("allow", PathPrefix="/")])
    assert authorizer(some, http=False).of_connection(connection) == Verdict(False, "Intention/cart => web")
    assert authorizer(entry("cart", "allow"), http=False).of_connection(connection) == ALLOWED


@pytest.mark.parametrize(
    "written",
    [
        {"Action": "allow", "JWT": {"Providers": [{"Name": "okta"}]}},
        {"Action": "deny", "JWT": {"Providers": [{"Name": "okta"}]}},
        {"Action": "allow", "GRPC": {}},
        {"Action": "allow", "HTTP": {"PathTemplate": "/{a}"}},
        {"Action": "allow", "HTTP": {"PathRegex": "(?=a)"}},
        {"Action": "allow", "HTTP": {"Header": [{"Name": "X-A"}]}},
        {"Action": "allow", "HTTP": {"Header": [{"Name": "X-A", "Regex": "("}]}},
        {"Action": "allow", "HTTP": {"Header": [{"Name": "X-A", "Length": 3}]}},
        {"Action": "log"},
    ],
)
def test_what_cannot_be_judged_is_refused_and_said(written: dict[str, Any]) -> None:
    permissions = [permission("allow", PathPrefix="/public"), written, permission("allow", PathPrefix="/late")]
    one = entry("cart", Permissions=permissions)
    judge = authorizer(one, default=True)
    assert verdict(judge, "/public", principal=CART).allowed
    assert not verdict(judge, "/late", principal=CART).allowed
    assert not verdict(judge, "/other", principal=CART).allowed
    (finding,) = converted(one)[1]
    assert str(finding).startswith("Intention/cart => web: warning: asks for what cannot be judged here: ")


_VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.sampled_from(["allow", "deny"]))
_HEADERS = st.dictionaries(st.sampled_from(["Name", "Exact", "Regex", "Prefix", "Invert", "Present"]), _VALUES)
_HTTP = st.dictionaries(st.sampled_from(["PathExact", "PathRegex", "Methods"]), _VALUES | st.lists(_VALUES, max_size=2))


@settings(max_examples=25)
@given(st.fixed_dictionaries({}, optional={"Action": _VALUES, "JWT": _VALUES, "HTTP": _HTTP}), st.lists(_HEADERS))
def test_whatever_a_permission_says_is_judged_or_refused(written: dict[str, Any], headers: list[Any]) -> None:
    if headers:
        written = written | {"HTTP": written.get("HTTP", {}) | {"Header": headers}}
    one = entry("cart", Permissions=[written, permission("allow")])
    judge = authorizer(one, default=True)
    verdict(judge, principal=CART)
    if converted(one)[1]:
        assert not verdict(judge, principal=CART).allowed


def test_an_intention_that_asks_for_a_jwt_is_refused() -> None:
    one = entry("cart", "allow", JWT={"Providers": [{"Name": "okta"}]})
    assert verdict(authorizer(one), principal=CART) == Verdict(False, "Intention/cart => web")
    assert len(converted(one)[1]) == 1


def test_sources_that_cannot_come_in_are_passed_over() -> None:
    foreign = [
        entry("cart", "allow", SourcePeer="east"),
        entry("*", "deny", SourcePartition="billing"),
        entry("cart", "deny", SourceSamenessGroup="all"),
        entry("cart", "deny", SourcePartition="default", Precedence=1),
    ]
    judge = authorizer(*foreign)
    assert verdict(judge, principal=CART) == Verdict(False, "Intention/cart => web")
    assert verdict(judge, principal=SHOP) == ALLOWED


# -- many --------------------------------------------------------------------------------


def test_filling_is_in_steps() -> None:
    many = [Intention(destination="web", source=f"default/{n}", policy=str(n)) for n in range(3 * STEP)]
    assert sum(1 for _ in IntentionSet().fill(many)) == 3
