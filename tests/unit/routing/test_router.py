"""Which rule a request takes, by tables from the Gateway API's specification and conformance tests."""

from __future__ import annotations

import pytest

from meshproxy.snapshot.routes import ValueMatch
from tests.support.routing import (
    exact,
    fill,
    make_request,
    make_rule,
    make_table,
    prefix,
    regex,
    values,
    winner,
)

Headers = dict[str, str]

# -- conformance: HTTPRouteMatching, HTTPRouteMatchingAcrossRoutes ---------------------------

MATCHING = fill(
    make_table(
        make_rule("v1", prefix("/"), prefix("/", headers=values(version="one"))),
        make_rule("v2", prefix("/v2"), prefix("/", headers=values(version="two"))),
    )
)


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("/", {}, "v1"),
        ("/example", {}, "v1"),
        ("/", {"Version": "one"}, "v1"),
        ("/v2", {}, "v2"),
        ("/v2/", {}, "v2"),
        ("/v2/example", {}, "v2"),
        ("/v2example", {}, "v1"),
        ("/", {"Version": "two"}, "v2"),
        ("/example", {"Version": "two"}, "v2"),
        ("/v2", {"Version": "one"}, "v2"),
    ],
)
def test_matching(path: str, headers: Headers, expected: str) -> None:
    assert winner(MATCHING, make_request(path, headers=headers)) == expected


ACROSS = fill(
    make_table(
        make_rule(
            "v1", prefix("/"), prefix("/", headers=values(version="one")), hostnames=("example.com", "example.net")
        ),
        make_rule("v2", prefix("/v2"), prefix("/", headers=values(version="two")), hostnames=("example.com",)),
    )
)


@pytest.mark.parametrize(
    ("host", "path", "headers", "expected"),
    [
        ("example.com", "/", {}, "v1"),
        ("example.com", "/example", {}, "v1"),
        ("example.net", "/example", {}, "v1"),
        ("example.com", "/example", {"Version": "one"}, "v1"),
        ("example.com", "/v2", {}, "v2"),
        ("example.net", "/v2", {}, "v1"),
        ("example.com", "/v2/example", {}, "v2"),
        ("example.com", "/", {"Version": "two"}, "v2"),
        ("example.org", "/", {}, None),
    ],
)
def test_matching_across_routes(host: str, path: str, headers: Headers, expected: str | None) -> None:
    assert winner(ACROSS, make_request(path, host, headers=headers)) == expected


# -- conformance: HTTPRoutePathMatchOrder, HTTPRouteExactPathMatching ------------------------

ORDER = fill(
    make_table(
        make_rule("exact-1", exact("/match")),
        make_rule("exact-2", exact("/match/exact")),
        make_rule("exact-3", exact("/match/exact/one")),
        make_rule("prefix-3", prefix("/match")),
        make_rule("prefix-2", prefix("/match/prefix/one")),
        make_rule("prefix-1", prefix("/match/prefix/")),
    )
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/match/exact/one", "exact-3"),
        ("/match/exact", "exact-2"),
        ("/match", "exact-1"),
        ("/match/prefix/one/any", "prefix-2"),
        ("/match/prefix/any", "prefix-1"),
        ("/match/any", "prefix-3"),
        ("/match/prefix", "prefix-1"),
        ("/match/", "prefix-3"),
        ("/match/exact/", "prefix-3"),
        ("/match/exact/one/", "prefix-3"),
        ("/match//exact", "prefix-3"),
        ("/matching", None),
        ("/Match", None),
        ("/", None),
    ],
)
def test_path_match_order(path: str, expected: str | None) -> None:
    assert winner(ORDER, make_request(path)) == expected


def test_a_regular_expression_is_between_exact_and_prefix() -> None:
    """The specification leaves it open; Envoy Gateway does the same, longer patterns first."""
    router = fill(
        make_table(
            make_rule("prefix", prefix("/shop/items/1/parts")),
            make_rule("short", regex("/shop/.*")),
            make_rule("long", regex("/shop/items/[0-9]+/.*")),
            make_rule("exact", exact("/shop/items/1/parts")),
        )
    )
    assert winner(router, make_request("/shop/items/1/parts")) == "exact"
    assert winner(router, make_request("/shop/items/1/parts/2")) == "long"
    assert winner(router, make_request("/shop/items/x/parts")) == "short"
    assert winner(router, make_request("/shops/items/1/parts")) is None, "all of the path must match"


@pytest.mark.parametrize("written", ["/a", "/a/"])
def test_a_prefix_is_of_segments(written: str) -> None:
    """`HTTPPathMatch`: a trailing slash of the prefix does not count."""
    router = fill(make_table(make_rule("a", prefix(written))))
    for path in ("/a", "/a/", "/a/b", "/a//b", "/a/b/", "/a/%2F"):
        assert winner(router, make_request(path)) == "a", path
    for path in ("/", "/ab", "/b", "/b/a", "//a", "/a%2Fb"):
        assert winner(router, make_request(path)) is None, path


def test_two_spellings_of_a_prefix_tie() -> None:
    first = fill(make_table(make_rule("slash", prefix("/a/")), make_rule("none", prefix("/a"))))
    assert winner(first, make_request("/a/b")) == "slash"
    second = fill(make_table(make_rule("none", prefix("/a")), make_rule("slash", prefix("/a/"))))
    assert winner(second, make_request("/a/b")) == "none"


# -- conformance: HTTPRouteMethodMatching, HeaderMatching, QueryParamMatching ----------------


@pytest.mark.parametrize(
    ("method", "expected"), [("POST", "post"), ("GET", "get"), ("HEAD", None), ("get", None), ("PROPFIND", None)]
)
def test_method_matching(method: str, expected: str | None) -> None:
    router = fill(
        make_table(make_rule("post", prefix("/", method="POST")), make_rule("get", prefix("/", method="GET")))
    )
    assert winner(router, make_request(method=method)) == expected


COMBINED = fill(
    make_table(
        make_rule("path1", prefix("/path1", method="GET")),
        make_rule("one", prefix("/", method="PUT", headers=values(version="one"))),
        make_rule("path2", prefix("/path2", method="POST", headers=values(version="two"))),
        make_rule(
            "or", prefix("/path3", method="PATCH"), prefix("/path4", method="DELETE", headers=values(version="three"))
        ),
        make_rule("path5", prefix("/path5")),
        make_rule("patch", prefix("/", method="PATCH")),
        make_rule("four", prefix("/", headers=values(version="four"))),
    )
)


@pytest.mark.parametrize(
    ("method", "path", "version", "expected"),
    [
        ("GET", "/path1", "", "path1"),
        ("PUT", "/", "one", "one"),
        ("POST", "/path2", "two", "path2"),
        ("PATCH", "/path3", "", "or"),
        ("DELETE", "/path4", "three", "or"),
        ("PUT", "/", "", None),
        ("DELETE", "/path4", "", None),
        ("PATCH", "/path5", "", "path5"),
        ("PATCH", "/", "four", "patch"),
    ],
)
def test_methods_with_other_conditions(method: str, path: str, version: str, expected: str | None) -> None:
    headers = {"version": version} if version else {}
    assert winner(COMBINED, make_request(path, method=method, headers=headers)) == expected


HEADERS = fill(
    make_table(
        make_rule("one", prefix("/", headers=values(version="one"))),
        make_rule("two", prefix("/", headers=values(version="two"))),
        make_rule("two-orange", prefix("/", headers=values(version="two", color="orange"))),
        make_rule("cold", prefix("/", headers=values(color="blue")), prefix("/", headers=values(color="green"))),
        make_rule("warm", prefix("/", headers=values(color="red")), prefix("/", headers=values(color="yellow"))),
    )
)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Version": "one"}, "one"),
        ({"Version": "two"}, "two"),
        ({"VERSION": "two", "Color": "orange"}, "two-orange"),
        ({"Version": "two", "Color": "blue"}, "two"),
        ({"Color": "orange"}, None),
        ({"Some-Other-Header": "one"}, None),
        ({"Color": "blue"}, "cold"),
        ({"Color": "green"}, "cold"),
        ({"Color": "red"}, "warm"),
        ({"Color": "yellow"}, "warm"),
        ({"Color": "purple"}, None),
        ({"Color": "Blue"}, None),
        ({"Version": "two", "version": "one"}, None),
        ({}, None),
    ],
)
def test_header_matching(headers: Headers, expected: str | None) -> None:
    assert winner(HEADERS, make_request(headers=headers)) == expected


def test_a_regular_expression_matches_all_of_a_header() -> None:
    match = prefix("/", headers=(ValueMatch(name="x-v", value="v[0-9]+", regex=True),))
    router = fill(make_table(make_rule("a", match)))
    assert winner(router, make_request(headers={"X-V": "v12"})) == "a"
    for value in ("av12", "v12a", "v", "V1", "v1, v2"):
        assert winner(router, make_request(headers={"X-V": value})) is None, value
    joined = prefix("/", headers=values(**{"x-v": "v1, v2"}))
    assert winner(fill(make_table(make_rule("a", joined))), make_request(headers={"X-V": "v1", "x-v": "v2"})) == "a"


QUERIES = fill(
    make_table(
        make_rule("whale", prefix("/", query_params=values(animal="whale"))),
        make_rule("dolphin", prefix("/", query_params=values(animal="dolphin"))),
        make_rule(
            "blue-dolphin",
            prefix("/", query_params=values(animal="dolphin", color="blue")),
            prefix("/", query_params=values(ANIMAL="Whale")),
        ),
        make_rule("path1", prefix("/path1", query_params=values(animal="whale"))),
        make_rule("one", prefix("/", query_params=values(animal="whale"), headers=values(version="one"))),
        make_rule("path5", prefix("/path5", query_params=values(animal="hydra"))),
        make_rule("hydra", prefix("/", query_params=values(animal="hydra"))),
        make_rule("four", prefix("/", headers=values(version="four"))),
    )
)


@pytest.mark.parametrize(
    ("target", "version", "expected"),
    [
        ("/?animal=whale", "", "whale"),
        ("/?animal=dolphin", "", "dolphin"),
        ("/?animal=dolphin&color=blue", "", "blue-dolphin"),
        ("/?color=blue&animal=dolphin", "", "blue-dolphin"),
        ("/?ANIMAL=Whale", "", "blue-dolphin"),
        ("/?animal=whale&otherparam=irrelevant", "", "whale"),
        ("/?animal=dolphin&color=yellow", "", "dolphin"),
        ("/?color=blue", "", None),
        ("/?animal=dog", "", None),
        ("/?animal=whaledolphin", "", None),
        ("/", "", None),
        ("/path1?animal=whale", "", "path1"),
        ("/?animal=whale", "one", "one"),
        ("/path5?animal=hydra", "", "path5"),
        ("/?animal=hydra", "four", "four"),
        ("/?animal=%77hale", "", "whale"),
        ("/?animal=whale&animal=dolphin", "", "whale"),
    ],
)
def test_query_param_matching(target: str, version: str, expected: str | None) -> None:
    headers = {"version": version} if version else {}
    assert winner(QUERIES, make_request(target, headers=headers)) == expected


def test_precedence_of_conditions() -> None:
    """Method, then headers, cookies and query parameters by number, then the order in the table."""
    name = {"a": "1", "b": "1", "c": "1"}
    rules = [
        make_rule("none", prefix("/")),
        make_rule("query-2", prefix("/", query_params=values(a="1", b="1"))),
        make_rule("cookie", prefix("/", cookies=values(a="1"))),
        make_rule("cookie-query", prefix("/", cookies=values(b="1"), query_params=values(a="1"))),
        make_rule("header", prefix("/", headers=values(a="1"))),
        make_rule("header-cookie", prefix("/", headers=values(a="1"), cookies=values(a="1"))),
        make_rule("header-2", prefix("/", headers=values(a="1", b="1"))),
        make_rule("method", prefix("/", method="GET")),
    ]
    request = make_request("/?a=1&b=1", headers={**name, "Cookie": "a=1; b=1"})
    while rules:
        assert winner(fill(make_table(*rules)), request) == rules.pop().name


def test_what_ties_is_in_the_order_of_the_table() -> None:
    rules = [make_rule(str(number), prefix("/a", headers=values(x="1"))) for number in range(5)]
    assert winner(fill(make_table(*rules)), make_request("/a", headers={"X": "1"})) == "0"
    assert winner(fill(make_table(*reversed(rules))), make_request("/a", headers={"X": "1"})) == "4"


def test_a_longer_path_that_asks_for_more_does_not_hide_a_shorter_one() -> None:
    router = fill(
        make_table(
            make_rule("all", prefix("/")),
            make_rule("a", prefix("/a", method="PUT")),
            make_rule("b", exact("/a/b", method="POST")),
            make_rule("c", regex("/a/.*", headers=values(x="1"))),
        )
    )
    assert winner(router, make_request("/a/b")) == "all"
    assert winner(router, make_request("/a/b", method="PUT")) == "a"
    assert winner(router, make_request("/a/b", method="POST")) == "b"
    assert winner(router, make_request("/a/b", headers={"x": "1"})) == "c"


def test_the_candidate_says_what_matched() -> None:
    table = make_table(make_rule("r", exact("/x"), prefix("/a/")))
    found = fill(table).lookup(make_request("/a/b"))
    assert found is not None
    assert (found.rule, found.match, found.prefix) == (table.virtual_hosts[0].rules[0], prefix("/a/"), b"/a/")


def test_an_asterisk_is_under_the_root() -> None:
    router = fill(make_table(make_rule("a", prefix("/a")), make_rule("all", prefix("/"))))
    assert winner(router, make_request("*", method="OPTIONS")) == "all"


def test_filling_takes_many_small_steps() -> None:
    many = tuple(f"h{number}.example.com" for number in range(100))
    rules = [make_rule(f"r{n}", *(prefix(f"/{n}/{m}") for m in range(10)), hostnames=many) for n in range(10)]
    router = fill(make_table())
    assert sum(1 for _ in router.fill(make_table(*rules), lambda rule: rule.name)) > 100
    assert winner(router, make_request("/3/4", "h99.example.com")) == "r3"


def test_a_table_without_rules_matches_nothing() -> None:
    assert fill(make_table()).lookup(make_request()) is None
    assert fill(make_table(**{"a.com": ()})).lookup(make_request()) is None
