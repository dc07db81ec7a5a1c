"""Who may call what: the order of the actions, and each condition by itself."""

from __future__ import annotations

from typing import Any

import pytest

from meshproxy.authorization.authorizer import NO_POLICY, Verdict
from meshproxy.authorization.caller import Caller
from meshproxy.snapshot.authorization import AuthorizationDefault, Operation, Source
from meshproxy.snapshot.routes import ValueMatch
from tests.support.authorization import CART, make_authorizer, make_rule, verdict

ALLOWED = Verdict(True)


def test_without_a_policy_the_default_decides() -> None:
    assert verdict(make_authorizer()) == ALLOWED
    assert verdict(make_authorizer(default=AuthorizationDefault.DENY)) == Verdict(False, NO_POLICY)
    assert verdict(make_authorizer(default=AuthorizationDefault.AUDIT)) == Verdict(True, "", NO_POLICY)


def test_with_an_allow_policy_the_default_does_not_count() -> None:
    for default in AuthorizationDefault:
        authorizer = make_authorizer(allow=(make_rule("p", operation=Operation(methods=("GET",))),), default=default)
        assert verdict(authorizer) == ALLOWED
        assert verdict(authorizer, method="POST") == Verdict(False, NO_POLICY)


def test_an_allow_policy_without_rules_allows_nobody() -> None:
    assert verdict(make_authorizer(allow=())) == Verdict(False, NO_POLICY)


def test_deny_goes_before_allow() -> None:
    authorizer = make_authorizer(
        deny=(make_rule("no-delete", operation=Operation(methods=("DELETE",))),), allow=(make_rule("all"),)
    )
    assert verdict(authorizer, method="DELETE") == Verdict(False, "no-delete")
    assert verdict(authorizer) == ALLOWED


def test_audit_refuses_nothing() -> None:
    authorizer = make_authorizer(audit=(make_rule("would", operation=Operation(paths=("/admin*",))),))
    assert verdict(authorizer, "/admin/x") == Verdict(True, "", "would")
    assert verdict(authorizer, "/other") == ALLOWED


def test_what_is_denied_may_be_audited_too() -> None:
    authorizer = make_authorizer(deny=(make_rule("no"),), audit=(make_rule("would"),))
    assert verdict(authorizer) == Verdict(False, "no", "would")


@pytest.mark.parametrize(
    ("source", "principal", "ip", "holds"),
    [
        (Source(), "", "10.0.0.1", True),
        (Source(principals=(CART,)), CART, "10.0.0.1", True),
        (Source(principals=(CART,)), "", "10.0.0.1", False),
        (Source(principals=(CART,)), CART + "2", "10.0.0.1", False),
        (Source(principals=("spiffe://mesh.local/ns/shop/*",)), CART, "10.0.0.1", True),
        (Source(principals=("spiffe://mesh.local/ns/shop/*",)), CART.replace("shop", "shop2"), "10.0.0.1", False),
        (Source(principals=("*",)), CART, "10.0.0.1", True),
        (Source(principals=("*",)), "", "10.0.0.1", False),
        (Source(service_accounts=("shop/cart",)), CART, "10.0.0.1", True),
        (Source(service_accounts=("other/cart",)), CART, "10.0.0.1", False),
        (Source(service_accounts=("shop/cart",)), "spiffe://t/ns/shop/dc/dc1/svc/cart", "10.0.0.1", True),
        (Source(service_accounts=("/",)), "spiffe://t/anything", "10.0.0.1", False),
        (Source(namespaces=("shop",)), CART, "10.0.0.1", True),
        (Source(namespaces=("cart",)), CART, "10.0.0.1", False),
        (Source(namespaces=("",)), "", "10.0.0.1", False),
        (Source(ip_blocks=("10.0.0.0/8",)), "", "10.0.0.1", True),
        (Source(ip_blocks=("10.0.0.0/8",)), "", "11.0.0.1", False),
        (Source(ip_blocks=("10.0.0.0/8",)), "", "::ffff:10.0.0.1", True),
        (Source(ip_blocks=("0.0.0.0/0",)), "", "::1", False),
        (Source(ip_blocks=("fe80::/10",)), "", "fe80::1%eth0", True),
        (Source(ip_blocks=("10.0.0.0/8",), principals=(CART,)), CART, "10.1.1.1", True),
        (Source(ip_blocks=("10.0.0.0/8",), principals=(CART,)), CART, "192.0.2.1", False),
        (Source(namespaces=("shop",), service_accounts=("shop/a", "shop/cart")), CART, "10.0.0.1", True),
        (Source(not_principals=(CART,)), CART, "10.0.0.1", False),
        (Source(not_principals=(CART,)), "", "10.0.0.1", True),
        (Source(not_namespaces=("shop",)), CART, "10.0.0.1", False),
        (Source(not_service_accounts=("shop/cart",)), CART, "10.0.0.1", False),
        (Source(not_ip_blocks=("10.0.0.0/8",)), "", "10.0.0.1", False),
        (Source(principals=("*",), not_principals=("spiffe://mesh.local/ns/x/*",)), CART, "10.0.0.1", True),
    ],
)
def test_who(source: Source, principal: str, ip: str, holds: bool) -> None:
    authorizer = make_authorizer(allow=(make_rule("p", source),))
    assert verdict(authorizer, principal=principal, ip=ip).allowed is holds
    connections = make_authorizer(allow=(make_rule("p", source),), http=False)
    assert connections.of_connection(Caller(principal, ip)).allowed is holds


@pytest.mark.parametrize(
    ("operation", "request_of", "holds"),
    [
        (Operation(methods=("GET", "HEAD")), {"method": "HEAD"}, True),
        (Operation(methods=("GET",)), {"method": "get"}, False),
        (Operation(not_methods=("POST",)), {"method": "POST"}, False),
        (Operation(paths=("/a",)), {"target": "/a?x=/b"}, True),
        (Operation(paths=("/a",)), {"target": "/a/"}, False),
        (Operation(paths=("/a*",)), {"target": "/ab/c"}, True),
        (Operation(paths=("/a/*",)), {"target": "/a"}, False),
        (Operation(paths=("*.css",)), {"target": "/x/y.css"}, True),
        (Operation(paths=("*",)), {"target": "/"}, True),
        (Operation(paths=("/b", "/a/*")), {"target": "/a/%62/../c"}, True),
        (Operation(paths=("/items/*",)), {"target": "/items/../admin"}, False),
        (Operation(not_paths=("/a*",)), {"target": "/abc"}, False),
        (Operation(hosts=("example.com",)), {"host": "EXAMPLE.com:8080"}, True),
        (Operation(hosts=("*.example.com",)), {"host": "a.b.example.com"}, True),
        (Operation(hosts=("*.example.com",)), {"host": "example.com"}, False),
        (Operation(hosts=("example.*",)), {"host": "example.org"}, True),
        (Operation(not_hosts=("example.com",)), {"host": "example.com"}, False),
        (Operation(headers=(ValueMatch(name="x-a", value="1"),)), {"headers": {"X-A": "1"}}, True),
        (Operation(headers=(ValueMatch(name="x-a", value="1"),)), {"headers": {"X-A": "1, 2"}}, False),
        (Operation(headers=(ValueMatch(name="x-a", value="[0-9]+", regex=True),)), {"headers": {"X-A": "12"}}, True),
        (Operation(headers=(ValueMatch(name="x-a", value="1"),)), {}, False),
        (Operation(methods=("GET",), paths=("/a",), hosts=("h",)), {"target": "/a", "host": "h"}, True),
        (Operation(methods=("GET",), paths=("/a",), hosts=("h",)), {"target": "/a", "host": "g"}, False),
    ],
)
def test_what(operation: Operation, request_of: dict[str, Any], holds: bool) -> None:
    authorizer = make_authorizer(allow=(make_rule("p", operation=operation),))
    assert verdict(authorizer, **request_of).allowed is holds


@pytest.mark.parametrize(
    "target", ["/admin/x", "//admin/x", "/%61dmin/x", "/a/../admin/x", "/%2Fadmin/x", "/a%2F..%2Fadmin/x"]
)
def test_a_refusal_holds_for_every_way_to_read_a_path(target: str) -> None:
    """Servers decode and merge slashes as they like: what is denied is denied however it is written."""
    authorizer = make_authorizer(deny=(make_rule("p", operation=Operation(paths=("/admin/*",))),))
    assert not verdict(authorizer, target).allowed
    except_public = make_authorizer(deny=(make_rule("p", operation=Operation(not_paths=("/public/*",))),))
    assert not verdict(except_public, "/public/..%2fadmin").allowed
    assert verdict(except_public, "/public/x").allowed


def test_what_is_allowed_is_allowed_as_it_is_written() -> None:
    authorizer = make_authorizer(allow=(make_rule("p", operation=Operation(paths=("/items/*",))),))
    assert not verdict(authorizer, "//items/1").allowed
    assert verdict(authorizer, "/items/a%2Fb").allowed


def test_connections_that_ask_for_nothing() -> None:
    """A grant of some requests grants no connection; a refusal of some requests refuses it."""
    gets = Operation(methods=("GET",))
    caller = Caller("", "10.0.0.1")
    grants = make_authorizer(allow=(make_rule("p", operation=gets),), http=False)
    assert grants.of_connection(caller) == Verdict(False, NO_POLICY)
    refuses = make_authorizer(deny=(make_rule("p", Source(ip_blocks=("10.0.0.0/8",)), gets),), http=False)
    assert refuses.of_connection(caller) == Verdict(False, "p")
    assert refuses.of_connection(Caller("", "192.0.2.1")) == ALLOWED
    whole = make_authorizer(allow=(make_rule("p"),), audit=(make_rule("q", operation=gets),), http=False)
    assert whole.of_connection(caller) == Verdict(True, "", "q")
