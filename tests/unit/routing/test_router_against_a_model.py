"""The router and a search through everything agree, and no request breaks it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from meshproxy.routing.router import Router
from meshproxy.snapshot.routes import PathKind, RouteMatch, RouteTable, Rule, ValueMatch, VirtualHost
from tests.support.routing_model import PlainRequest, expected

# Few names and values, so that they meet.
HOSTNAMES = st.sampled_from(
    ["", "a.com", "b.a.com", "c.b.a.com", "*.a.com", "*.b.a.com", "*.com", "b.com", "*.c.b.a.com"]
)
HOSTS = st.sampled_from(
    [b"a.com", b"b.a.com", b"c.b.a.com", b"d.c.b.a.com", b"b.com", b"xa.com", b"com", b"", b"[::1]"]
)
SEGMENTS = st.lists(st.sampled_from(["a", "b", "ab", ""]), max_size=4)
PATHS = SEGMENTS.map(lambda segments: "/" + "/".join(segments))
PATTERNS = st.sampled_from(["/a.*", "/[ab]/b", "/.*b", "/a(/b)?", ".*", "/ab", "/a/b/"])
VALUES = st.sampled_from(["1", "2", "12"])
TESTS = st.builds(
    ValueMatch, name=st.sampled_from(["x", "y", "z"]), value=VALUES | st.just("[12]+"), regex=st.booleans()
)
CONDITIONS = st.lists(TESTS, max_size=2, unique_by=lambda test: test.name).map(tuple)
METHODS = st.sampled_from(["", "", "GET", "PUT"])
MATCHES = st.builds(
    RouteMatch,
    path_kind=st.sampled_from([PathKind.EXACT, PathKind.PREFIX, PathKind.PREFIX]),
    path=PATHS,
    method=METHODS,
    headers=CONDITIONS,
    query_params=CONDITIONS,
    cookies=CONDITIONS,
) | st.builds(RouteMatch, path_kind=st.just(PathKind.REGEX), path=PATTERNS, method=METHODS, headers=CONDITIONS)
RULES = st.builds(
    Rule,
    name=st.just("r"),
    route=st.just("HTTPRoute/r"),
    hostnames=st.lists(HOSTNAMES, max_size=3).map(tuple),
    single_label_wildcards=st.booleans(),
    matches=st.lists(MATCHES, min_size=1, max_size=4).map(tuple),
)


def numbered(rules: list[Rule]) -> tuple[Rule, ...]:
    return tuple(
        Rule(
            name=str(number),
            route=rule.route,
            hostnames=rule.hostnames,
            single_label_wildcards=rule.single_label_wildcards,
            matches=rule.matches,
        )
        for number, rule in enumerate(rules)
    )


TABLES = st.dictionaries(HOSTNAMES, st.lists(RULES, max_size=6), max_size=3).map(
    lambda hosts: RouteTable(
        name="t",
        virtual_hosts=tuple(
            VirtualHost(name=name or "any", hostname=name, rules=numbered(rules)) for name, rules in hosts.items()
        ),
    )
)
PAIRS = st.dictionaries(st.sampled_from([b"x", b"y", b"z"]), VALUES.map(str.encode), max_size=3)
REQUESTS = st.builds(
    lambda parameters, **fields: PlainRequest(
        parameters=parameters, query=b"&".join(b"%b=%b" % pair for pair in parameters.items()), **fields
    ),
    parameters=PAIRS,
    method=st.sampled_from([b"GET", b"PUT", b"POST"]),
    host=HOSTS,
    path=PATHS.map(str.encode),
    headers=PAIRS,
    cookies=PAIRS,
)


def fill(table: RouteTable) -> Router[Rule]:
    router: Router[Rule] = Router()
    for _ in router.fill(table, lambda rule: rule):
        pass
    return router


@settings(max_examples=300)
@given(TABLES, st.lists(REQUESTS, min_size=1, max_size=5))
def test_the_router_finds_what_the_specification_has(table: RouteTable, requests: list[PlainRequest]) -> None:
    router = fill(table)
    for request in requests:
        found = router.lookup(request)
        assert (None if found is None else (found.rule, found.match)) == expected(table, request)


@given(
    TABLES,
    st.builds(
        PlainRequest,
        method=st.binary(),
        host=st.binary(),
        path=st.binary(),
        query=st.binary(),
        headers=st.dictionaries(st.sampled_from([b"x", b"cookie"]), st.binary()),
    ),
)
def test_no_request_breaks_it(table: RouteTable, request: PlainRequest) -> None:
    found = fill(table).lookup(request)
    assert found is None or found.target is found.rule
