"""What `route explain` says, and that it says what the router does."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshproxy.routing.explain import Criterion, Explanation, Outcome, describe_match, explain
from meshproxy.snapshot.routes import RouteMatch, RouteTable, ValueMatch
from tests.support.routing import exact, make_request, make_rule, make_table, prefix, regex, values
from tests.support.routing_model import PlainRequest, expected
from tests.unit.routing.test_router_against_a_model import REQUESTS, TABLES

CANARY = (ValueMatch(name="x-canary", value="(yes|1)", regex=True),)
SHOP = make_table(
    make_rule("shop/all", prefix("/")),
    make_rule("shop/cart", prefix("/cart"), exact("/basket", method="POST")),
    make_rule("canary/cart", prefix("/cart", headers=CANARY, cookies=values(beta="1"))),
    make_rule("other/cart", prefix("/cart/")),
    make_rule("north/cart", exact("/x", query_params=values(lang="de")), hostnames=("north.example.com", "n.com")),
)


def said(explanation: Explanation) -> list[tuple[str, str, str]]:
    return [(each.rule, each.outcome.value, "; ".join(each.reasons)) for each in explanation.verdicts]


def test_every_rule_has_its_reason() -> None:
    tie = "they tie, and its route comes first (the older one, then by namespace and name)"
    assert said(explain(SHOP, make_request("/cart/1"))) == [
        ("shop/cart", "Wins", f"it goes before other/cart: {tie}"),
        ("other/cart", "Loses", f"shop/cart goes before it: {tie}"),
        ("shop/all", "Loses", "shop/cart goes before it: /cart is longer than /"),
        ("canary/cart", "NoMatch", "there is no header x-canary; there is no cookie beta"),
        ("north/cart", "NoMatch", "the host is example.com, none of north.example.com, n.com"),
    ]


def test_what_is_there_instead_is_said() -> None:
    request = PlainRequest(path=b"/\xff", headers={b"x-canary": b"no\x1b[2J", b"cookie": b"beta=0"}, query=b"lang=%1b")
    verdicts = {each.rule: each.reasons for each in explain(SHOP, request).verdicts}
    assert verdicts["canary/cart"] == (
        r"the path is /\xff, not under /cart; header x-canary is no\x1b[2J, which does not match (yes|1); "
        "cookie beta is 0, not 1",
    )
    assert verdicts["shop/cart"] == (
        r"match 1: the path is /\xff, not under /cart",
        r"match 2: the path is /\xff, not /basket; the method is GET, not POST",
    )
    request = request._replace(host=b"n.com", path=b"/x" * 50)
    verdicts = {each.rule: each.reasons for each in explain(SHOP, request).verdicts}
    assert verdicts["north/cart"] == (f"the path is {'/x' * 40}…, not /x; query parameter lang is \\x1b, not de",)


def test_the_only_one() -> None:
    explanation = explain(make_table(make_rule("a", prefix("/a"))), make_request("/a"))
    assert said(explanation) == [("a", "Wins", "no other rule matches")]
    assert explanation.winner is not None


def test_nothing_matches() -> None:
    explanation = explain(make_table(make_rule("a", prefix("/a"))), make_request("/b"))
    assert explanation.winner is None
    assert said(explanation) == [("a", "NoMatch", "the path is /b, not under /a")]


def test_a_host_that_the_table_has_nothing_for() -> None:
    table = make_table(**{"a.com": (make_rule("a"),), "*.b.com": (make_rule("b"),)})
    assert explain(table, make_request(host="c.com")) == Explanation(table="table", others=("a.com", "*.b.com"))
    explanation = explain(table, make_request(host="x.b.com"))
    assert (explanation.virtual_host, explanation.others) == (table.virtual_hosts[1], ("a.com",))


ALL = {"a": "1", "b": "2"}
PAIRS = [
    (prefix("/"), exact("/x"), Criterion.PATH_TYPE, "an exact path goes before a prefix"),
    (regex("/.*"), exact("/x"), Criterion.PATH_TYPE, "an exact path goes before a regular expression"),
    (prefix("/x"), regex("/."), Criterion.PATH_TYPE, "a regular expression goes before a prefix"),
    (regex("/."), regex("/.*"), Criterion.PATH_LENGTH, "/.* is longer than /."),
    (prefix("/"), prefix("/", method="GET"), Criterion.METHOD, "it asks for a method, the other for none"),
    (
        prefix("/", headers=values(a="1")),
        prefix("/", headers=values(**ALL)),
        Criterion.HEADERS,
        "it asks for 2 headers, the other for 1",
    ),
    (prefix("/"), prefix("/", cookies=values(a="1")), Criterion.COOKIES, "it asks for 1 cookie, the other for 0"),
    (
        prefix("/"),
        prefix("/", query_params=values(a="1")),
        Criterion.QUERY_PARAMS,
        "it asks for 1 query parameter, the other for 0",
    ),
]


@pytest.mark.parametrize(("loser", "winner", "criterion", "words"), PAIRS)
def test_each_criterion(loser: RouteMatch, winner: RouteMatch, criterion: Criterion, words: str) -> None:
    request = make_request("/x?a=1&b=2", headers={**ALL, "Cookie": "a=1; b=2"})
    verdicts = explain(make_table(make_rule("l", loser), make_rule("w", winner)), request).verdicts
    assert [(each.rule, each.criterion) for each in verdicts] == [("w", criterion), ("l", criterion)]
    assert verdicts[1].reasons == (f"w goes before it: {words}",)


def test_hostnames_are_a_criterion() -> None:
    rules = [
        make_rule("any"),
        make_rule("wildcard", hostnames=("*.com", "*.a.com")),
        make_rule("one-label", hostnames=("*.a.com",), single_label_wildcards=True),
        make_rule("exact", hostnames=("x.a.com",)),
    ]
    expected_words = {
        "exact": "x.a.com is more specific than *.a.com",
        "one-label": "its *.a.com stands for one label only",
        "wildcard": "*.a.com is more specific than any host",
    }
    while len(rules) > 1:
        verdicts = explain(make_table(*rules), make_request(host="x.a.com")).verdicts
        name = rules.pop().name
        assert (verdicts[0].rule, verdicts[0].criterion) == (name, Criterion.HOSTNAME)
        assert verdicts[0].reasons[0].endswith(expected_words[name])


def test_many_hostnames_are_not_all_said() -> None:
    table = make_table(make_rule("a", hostnames=tuple(f"h{number}" for number in range(9))))
    assert explain(table, make_request()).verdicts[0].reasons == (
        "the host is example.com, none of h0, h1, h2, h3, h4 and 4 more",
    )


def test_a_match_in_words() -> None:
    match = regex("/a.*", method="GET", headers=CANARY, cookies=values(b="1"), query_params=values(q="x"))
    assert describe_match(match) == (
        "path ~ /a.*, method GET, header x-canary ~ (yes|1), cookie b = 1, query parameter q = x"
    )
    assert describe_match(prefix("/a")) == "path under /a"
    assert describe_match(exact("/a")) == "path = /a"


@settings(max_examples=200)
@given(TABLES, REQUESTS)
def test_it_explains_what_the_router_does(table: RouteTable, request: PlainRequest) -> None:
    """The order of precedence here, the router's, and the model's are the same."""
    explanation = explain(table, request)
    wanted = expected(table, request)
    assert explanation.winner == (wanted[0] if wanted is not None else None)
    matching = [each for each in explanation.verdicts if each.outcome is not Outcome.NO_MATCH]
    assert [each.outcome for each in matching[:1]] == [Outcome.WINS] * (wanted is not None)
    if wanted is None:
        assert not matching
    else:
        assert (matching[0].rule, matching[0].match) == (wanted[0].name, wanted[1])
    rules = explanation.virtual_host.rules if explanation.virtual_host is not None else ()
    assert sorted(each.rule for each in explanation.verdicts) == sorted(each.name for each in rules)
    assert msgspec.json.decode(msgspec.json.encode(explanation), type=Explanation) == explanation


@settings(max_examples=200)
@given(TABLES, REQUESTS)
def test_who_loses_would_win_without_the_winner(table: RouteTable, request: PlainRequest) -> None:
    """The verdicts are in order of precedence: take the winners away one by one."""
    explanation = explain(table, request)
    order = [each.rule for each in explanation.verdicts if each.outcome is not Outcome.NO_MATCH]
    for name in order:
        best = explain(table, request).winner
        assert best is not None
        assert best.name == name
        hosts = tuple(
            msgspec.structs.replace(host, rules=tuple(each for each in host.rules if each is not best))
            for host in table.virtual_hosts
        )
        table = msgspec.structs.replace(table, virtual_hosts=hosts)


@given(TABLES, st.builds(PlainRequest, method=st.binary(), host=st.binary(), path=st.binary(), query=st.binary()))
def test_any_request_is_explained(table: RouteTable, request: PlainRequest) -> None:
    for verdict in explain(table, request).verdicts:
        assert all(reason.isprintable() for reason in verdict.reasons)
