"""Variants and shares: what the containers of one Service say together, as one HTTPRoute."""

from __future__ import annotations

import msgspec
import pytest

from meshproxy.resources.http_route import HTTPPathMatch, HTTPRouteMatch, HTTPValueMatch, MatchType, PathMatchType
from tests.support.docker import Said, make_container, translate

STABLE = make_container("stable-1", "service=web", "service-port=80")


def matches(said: Said, rule: int = 1) -> tuple[HTTPRouteMatch, ...]:
    return said.routes["web"].spec.rules[rule].matches


def canary(*labels: str) -> Said:
    """A stable container and another with `labels`."""
    return translate(STABLE, make_container("other-1", "service=web", *labels))


def test_a_canary_has_its_share() -> None:
    said = canary("canary-weight=10")
    assert said.shares("web") == [{"web": 9, "web-canary": 1}]
    assert (said.names_of("web"), said.names_of("web-canary")) == ({"stable-1"}, {"other-1"})
    route = said.routes["web"].spec
    assert [(parent.kind, parent.name, parent.port) for parent in route.parent_refs] == [("Service", "web", 80)]
    assert {ref.port for ref in route.rules[0].backend_refs} == {80}


def test_the_number_of_containers_does_not_count_between_variants() -> None:
    more = [make_container(f"c{number}", "service=web", "canary-weight=25%") for number in range(4)]
    assert translate(STABLE, *more).shares("web") == [{"web": 3, "web-canary": 1}]


@pytest.mark.parametrize(
    ("weight", "shares"), [("0", {"web": 1, "web-canary": 0}), ("100", {"web": 0, "web-canary": 1})]
)
def test_none_and_all(weight: str, shares: dict[str, int]) -> None:
    assert canary(f"canary-weight={weight}").shares("web") == [shares]


def test_a_canary_alone_takes_all() -> None:
    said = translate(make_container("c", "service=web", "canary-weight=10"))
    assert said.shares("web") == [{"web-canary": 1}]


def test_two_canaries_that_want_more_than_all() -> None:
    said = translate(
        STABLE,
        make_container("a", "service=web", "variant=a", "canary-weight=80"),
        make_container("b", "service=web", "variant=b", "canary-weight=40"),
    )
    assert said.shares("web") == [{"web": 0, "web-a": 2, "web-b": 1}]
    assert "canaries together want more than 100 %: web-a wants 80 %" in said.problems[0]


def test_requests_that_match_are_taken_whole() -> None:
    said = canary("header.X-Beta=yes", "com.docker.compose.service=beta")
    assert said.shares("web") == [{"web": 1}, {"web-beta": 1}]
    assert matches(said) == (HTTPRouteMatch(headers=(HTTPValueMatch(name="X-Beta", value="yes"),)),)


def test_a_share_of_the_requests_that_match() -> None:
    said = canary("header.x=y", "canary-weight=20", "variant=b")
    assert said.shares("web") == [{"web": 1}, {"web": 4, "web-b": 1}]


def test_what_a_narrow_canary_leaves_goes_where_it_would_have_gone() -> None:
    said = translate(
        STABLE,
        make_container("a", "service=web", "variant=a", "canary-weight=10"),
        make_container("b", "service=web", "variant=b", "canary-weight=50", "header.x=y"),
    )
    assert said.shares("web") == [{"web": 9, "web-a": 1}, {"web": 9, "web-a": 1, "web-b": 10}]


def test_variants_of_ones_own_share_by_their_containers() -> None:
    blue = [make_container(f"blue-{number}", "service=web", "variant=blue") for number in range(3)]
    said = translate(*blue, make_container("green", "service=web", "variant=green", "weight=50"))
    assert said.shares("web") == [{"web-blue": 6, "web-green": 1}]
    assert said.names_of("web") == set()


def test_weights_of_zero_share_alike() -> None:
    said = translate(*(make_container(each, "service=web", f"variant={each}", "weight=0") for each in ("a", "b")))
    assert said.shares("web") == [{"web-a": 1, "web-b": 1}]


def test_where_all_containers_take_the_same_that_is_the_services() -> None:
    said = translate(*(make_container(f"w{number}", "service=web", "path=/api") for number in range(2)))
    assert said.shares("web") == [{"web": 1}]
    assert matches(said, 0) == (HTTPRouteMatch(path=HTTPPathMatch(value="/api")),)
    assert said.names_of("web") == {"w0", "w1"}


def test_paths_and_methods_are_lists() -> None:
    said = canary("path=/a, =/b", "method=get,POST", "cookie.c=~v[12]", "query.q=1")
    rest = {
        "cookies": (HTTPValueMatch(name="c", value="v[12]", type=MatchType.REGULAR_EXPRESSION),),
        "query_params": (HTTPValueMatch(name="q", value="1"),),
    }
    exact = HTTPPathMatch(type=PathMatchType.EXACT, value="/b")
    wanted = [(path, method) for path in (HTTPPathMatch(value="/a"), exact) for method in ("GET", "POST")]
    assert [(match.path, match.method) for match in matches(said)] == wanted
    plain = HTTPRouteMatch(path=wanted[0][0], method="GET", **rest)
    assert matches(said)[0] == plain


def test_a_regular_expression_keeps_its_commas() -> None:
    pattern = HTTPPathMatch(type=PathMatchType.REGULAR_EXPRESSION, value="/a{1,2}")
    assert matches(canary("path=~/a{1,2}")) == (HTTPRouteMatch(path=pattern),)


def test_alternatives() -> None:
    said = canary("header.a=1", "match.two.header.b=2", "match.two.path=/b", "match.3.method=PUT")
    assert matches(said) == (
        HTTPRouteMatch(headers=(HTTPValueMatch(name="a", value="1"),)),
        HTTPRouteMatch(method="PUT"),
        HTTPRouteMatch(path=HTTPPathMatch(value="/b"), headers=(HTTPValueMatch(name="b", value="2"),)),
    )


def test_too_many_alternatives() -> None:
    paths = ",".join(f"/{number}" for number in range(65))
    assert "label meshproxy.dev/path: warning: makes more than 64 matches" in canary(f"path={paths}").problems[0]


# -- mirrors ----------------------------------------------------------------------------


def copies(said: Said, rule: int = 0) -> list[tuple[str, int | None]]:
    filters = said.routes["web"].spec.rules[rule].filters
    mirrors = [each.request_mirror for each in filters if each.request_mirror is not None]
    return [(mirror.backend_ref.name, mirror.percent) for mirror in mirrors]


def test_a_mirror_gets_copies_and_answers_nobody() -> None:
    said = canary("mirror=true")
    assert said.shares("web") == [{"web": 1}]
    assert copies(said) == [("web-mirror", 100)]
    assert said.names_of("web-mirror") == {"other-1"}


def test_a_mirror_of_some_requests_has_a_rule_that_leads_where_it_led_before() -> None:
    said = canary("mirror=5%", "method=POST", "variant=m")
    assert said.shares("web") == [{"web": 1}, {"web": 1}]
    assert (copies(said, 0), copies(said, 1)) == ([], [("web-m", 5)])


def test_a_mirror_of_all_copies_every_rule() -> None:
    said = translate(
        STABLE,
        make_container("m", "service=web", "mirror=true", "variant=m"),
        make_container("b", "service=web", "header.x=y", "variant=b"),
    )
    assert [copies(said, 0), copies(said, 1)] == [[("web-m", 100)], [("web-m", 100)]]


@pytest.mark.parametrize("labels", [("mirror=false",), ("mirror=off",)])
def test_no_mirror(labels: tuple[str, ...]) -> None:
    assert canary(*labels).routes == {}


def test_a_mirror_without_anybody_to_copy_from_waits() -> None:
    said = translate(make_container("m", "service=web", "mirror=true"))
    assert (said.routes, said.problems) == ({}, [])
    assert said.names_of("web") == set()


# -- the edge, and what has no requests -------------------------------------------------


def test_hosts_are_for_a_gateway() -> None:
    container = make_container("w", "service=web", "host=a.example, b.example", "gateway=infra/edge")
    spec = translate(container).routes["web"].spec
    assert spec.hostnames == ("a.example", "b.example")
    assert [(parent.kind, parent.namespace, parent.name) for parent in spec.parent_refs] == [
        ("Gateway", "infra", "edge")
    ]


def test_the_sources_gateway_is_the_default() -> None:
    said = translate(make_container("w", "service=web", "host=a.example"), gateway="edge")
    assert said.routes["web"].spec.parent_refs[0].name == "edge"


def test_a_host_without_a_gateway_says_so() -> None:
    said = translate(make_container("w", "service=web", "host=a.example"))
    assert said.routes == {}
    assert "label meshproxy.dev/host: warning: needs a Gateway" in said.problems[0]


def test_one_route_serves_mesh_and_edge() -> None:
    said = translate(STABLE, make_container("c", "service=web", "canary-weight=10", "host=a.example", "gateway=edge"))
    assert [parent.kind for parent in said.routes["web"].spec.parent_refs] == ["Service", "Gateway"]


@pytest.mark.parametrize("protocol", ["tcp", "udp", "h2c"])
def test_a_port_without_requests_has_no_route_and_canaries_get_nothing(protocol: str) -> None:
    said = translate(
        make_container("s", "service=web", "port=1", f"protocol={protocol}"),
        make_container("c", "service=web", "port=1", "canary-weight=10"),
    )
    assert said.routes == {}
    assert said.names_of("web") == {"s"}
    assert f"the port's protocol is {protocol}, and only the stable containers have its traffic" in said.problems[0]


def test_with_several_ports_the_route_is_about_the_one_without_a_name() -> None:
    said = canary("port=8080", "port.metrics=9100", "canary-weight=50")
    assert said.routes["web"].spec.parent_refs[0].port == 80
    named = translate(make_container("w", "service=web", "port.a=1", "port.b=2", "path=/x"))
    assert "this Service has neither" in named.problems[0]


# -- names of variants ------------------------------------------------------------------


def test_a_variants_service_makes_way_for_a_service_of_that_name() -> None:
    said = translate(
        STABLE,
        make_container("c", "service=web", "canary-weight=10"),
        make_container("own", "service=web-canary"),
    )
    assert said.names_of("web-canary") == {"own"}
    assert said.names_of("web--canary") == {"c"}


def test_a_name_too_long_is_cut_and_told_apart() -> None:
    long = "x" * 60
    said = translate(make_container("s", f"service={long}"), make_container("c", f"service={long}", "canary-weight=1"))
    names = {key.name for key in said.services}
    assert len(names) == 2
    assert all(len(name) <= 63 for name in names)


def test_the_order_of_containers_does_not_matter() -> None:
    containers = [
        STABLE,
        make_container("a", "service=web", "canary-weight=10"),
        make_container("b", "service=web", "path=/b", "service-port=81"),
        make_container("c", "service=web", "header.x=1", "mirror=3"),
    ]
    there, back = translate(*containers), translate(*reversed(containers))
    encoded = [sorted(msgspec.json.encode(each) for each in said.resources) for said in (there, back)]
    assert encoded[0] == encoded[1]
    assert there.problems == back.problems
