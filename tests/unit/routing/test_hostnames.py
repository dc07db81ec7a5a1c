"""Virtual hosts and the hostnames of their rules, as in the Gateway API's conformance tests."""

from __future__ import annotations

import pytest

from tests.support.routing import exact, fill, make_request, make_rule, make_table, prefix, values, winner

# -- conformance: GatewayHTTPListenerIsolation -------------------------------------------

_LISTENERS = {
    "": "/empty-hostname",
    "*.example.com": "/wildcard-example-com",
    "*.foo.example.com": "/wildcard-foo-example-com",
    "abc.foo.example.com": "/abc-foo-example-com",
}
_HOSTS = {
    "bar.com": "",
    "example.com": "",
    "bar.example.com": "*.example.com",
    "BAR.Example.com:8080": "*.example.com",
    "a.bar.example.com": "*.example.com",
    "foo.example.com": "*.example.com",
    "bar.foo.example.com": "*.foo.example.com",
    "abc.foo.example.com": "abc.foo.example.com",
    "abc.foo.example.com.": "abc.foo.example.com",
    "x.abc.foo.example.com": "*.foo.example.com",
    "192.0.2.1": "",
    "[2001:db8::1]:80": "",
}


@pytest.mark.parametrize("host", _HOSTS)
@pytest.mark.parametrize("listener", _LISTENERS)
def test_listeners_are_isolated(host: str, listener: str) -> None:
    rules = {hostname: (make_rule(hostname or "any", prefix(path)),) for hostname, path in _LISTENERS.items()}
    expected = (listener or "any") if _HOSTS[host] == listener else None
    assert winner(fill(make_table(**rules)), make_request(_LISTENERS[listener], host)) == expected


# -- conformance: HTTPRouteHostnameIntersection; the compiler makes the intersections ----------

_INTERSECTION = fill(
    make_table(
        **{
            "very.specific.com": (
                make_rule("s1", prefix("/s1"), hostnames=("very.specific.com",)),
                make_rule("s3", prefix("/s3"), hostnames=("very.specific.com",)),
            ),
            "*.wildcard.io": (make_rule("s2", prefix("/s2"), hostnames=("*.wildcard.io", "foo.wildcard.io")),),
            "*.anotherwildcard.io": (make_rule("s4", prefix("/s4"), hostnames=("*.anotherwildcard.io",)),),
        }
    )
)


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        ("very.specific.com", "/s1", "s1"),
        ("very.specific.com:1234", "/s1", "s1"),
        ("non.matching.com", "/s1", None),
        ("foo.wildcard.io", "/s1", None),
        ("very.specific.com", "/non-matching-prefix", None),
        ("foo.wildcard.io", "/s2", "s2"),
        ("bar.wildcard.io", "/s2", "s2"),
        ("foo.bar.wildcard.io", "/s2", "s2"),
        ("wildcard.io", "/s2", None),
        ("very.specific.com", "/s2", None),
        ("very.specific.com", "/s3", "s3"),
        ("foo.specific.com", "/s3", None),
        ("foo.bar.anotherwildcard.io", "/s4", "s4"),
        ("anotherwildcard.io", "/s4", None),
        ("xanotherwildcard.io", "/s4", None),
    ],
)
def test_hostname_intersection(host: str, path: str, expected: str | None) -> None:
    assert winner(_INTERSECTION, make_request(path, host)) == expected


# -- the specification's order of hostnames within a listener -----------------------------

_RULES = {
    "exact": make_rule("exact", prefix("/"), hostnames=("a.b.example.com",)),
    "long": make_rule("long", exact("/path", method="GET"), hostnames=("*.b.example.com",)),
    "short": make_rule("short", exact("/path", method="GET", headers=values(x="1")), hostnames=("*.example.com",)),
    "any": make_rule("any", exact("/path", method="GET", headers=values(x="1", y="1"))),
}


def test_a_more_specific_hostname_goes_before_everything_else() -> None:
    request = make_request("/path", "a.b.example.com", headers={"x": "1", "y": "1"})
    rules = list(_RULES.values())
    for name in _RULES:
        assert winner(fill(make_table(*reversed(rules))), request) == name
        rules.pop(0)


def test_what_no_specific_rule_matches_falls_to_the_less_specific() -> None:
    router = fill(
        make_table(
            make_rule("exact", prefix("/a"), hostnames=("a.example.com",)),
            make_rule("wildcard", prefix("/b"), hostnames=("*.example.com",)),
            make_rule("any", prefix("/c")),
        )
    )
    for path, expected in (("/a", "exact"), ("/b", "wildcard"), ("/c", "any"), ("/d", None)):
        assert winner(router, make_request(path, "a.example.com")) == expected
    assert winner(router, make_request("/a", "b.example.com")) is None


def test_a_single_label_wildcard_is_an_ingress_rules() -> None:
    """Kubernetes `IngressRule.host`: ``*.foo.com`` matches ``bar.foo.com`` and not ``baz.bar.foo.com``."""
    router = fill(
        make_table(
            make_rule("route", prefix("/"), hostnames=("*.foo.com",)),
            make_rule("ingress", prefix("/"), hostnames=("*.foo.com",), single_label_wildcards=True),
        )
    )
    assert winner(router, make_request(host="bar.foo.com")) == "ingress"
    assert winner(router, make_request(host="baz.bar.foo.com")) == "route"
    assert winner(router, make_request(host="foo.com")) is None


def test_a_thousand_hosts() -> None:
    hosts = {f"h{number}.example.com": (make_rule(f"r{number}"),) for number in range(1000)}
    router = fill(make_table(**hosts))
    assert winner(router, make_request(host="h999.example.com")) == "r999"
    assert winner(router, make_request(host="h1000.example.com")) is None
