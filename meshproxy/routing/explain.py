"""Why a request takes the rule that it takes, in words for people.

Which rule that is says `Router`. What holds is asked of the router's own parts, one condition at a time; what is
here is the order of precedence as a list of criteria, which a test compares with the router's.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

from meshproxy.routing.api import Request
from meshproxy.routing.conditions import CookieTest, HeaderTest, QueryTest, ValueTest
from meshproxy.routing.hosts import HostMap
from meshproxy.routing.path_index import Candidate, PathIndex
from meshproxy.routing.router import Router
from meshproxy.snapshot.routes import PathKind, RouteMatch, RouteTable, Rule, ValueMatch, VirtualHost
from meshproxy.snapshot.value import Value

T = TypeVar("T")
_NO_RULE = Rule(name="", route="")
_KINDS = (PathKind.EXACT, PathKind.REGEX, PathKind.PREFIX)
_KIND_WORDS = {
    PathKind.EXACT: "an exact path",
    PathKind.REGEX: "a regular expression",
    PathKind.PREFIX: "a prefix",
}
_PATH_WORDS = {PathKind.EXACT: "=", PathKind.REGEX: "~", PathKind.PREFIX: "under"}
_NOT_WORDS = {PathKind.EXACT: "not", PathKind.REGEX: "which does not match", PathKind.PREFIX: "not under"}
MAX_SHOWN = 80
"""Characters of a value that a client sent."""
MAX_LISTED = 5


class Outcome(enum.StrEnum):
    WINS = "Wins"
    LOSES = "Loses"
    NO_MATCH = "NoMatch"


class Criterion(enum.StrEnum):
    """What decides between two rules that match, in this order (Gateway API `HTTPRouteRule.matches`)."""

    HOSTNAME = "Hostname"
    PATH_TYPE = "PathType"
    PATH_LENGTH = "PathLength"
    METHOD = "Method"
    HEADERS = "Headers"
    COOKIES = "Cookies"
    QUERY_PARAMS = "QueryParams"
    ORDER = "Order"


class Verdict(Value, frozen=True, kw_only=True):
    """What became of one rule. `reasons` has one of a rule that wins or loses, else one for each of its matches.

    Of a rule that matches, `match` and `hostname` (empty: any) are the best of its own that do. `criterion` is what
    decided against the winner, or for it and against the next.
    """

    rule: str
    route: str
    outcome: Outcome
    match: RouteMatch | None = None
    hostname: str = ""
    criterion: Criterion | None = None
    reasons: tuple[str, ...] = ()


class Explanation(Value, frozen=True, kw_only=True):
    """The winner's verdict comes first, then the losers' in order of precedence, then the others' as in the table.

    Without a `virtual_host` there are no verdicts: the table has nothing for the request's host. `others` are the names
    of virtual hosts that the request is not for.
    """

    table: str
    virtual_host: VirtualHost | None = None
    winner: Rule | None = None
    verdicts: tuple[Verdict, ...] = ()
    others: tuple[str, ...] = ()


class _Holding(NamedTuple):
    """A match that holds, with the most specific of its rule's hostnames that does."""

    rule: Rule
    hostname: str
    candidate: Candidate[None]

    @property
    def match(self) -> RouteMatch:
        return self.candidate.match

    @property
    def place(self) -> tuple[object, ...]:
        """In order of precedence, the least first; an item for each `Criterion`."""
        is_wildcard, single = self.hostname.startswith("*."), self.rule.single_label_wildcards
        kind = self.match.path_kind
        return (
            (not self.hostname, is_wildcard, -len(self.hostname), is_wildcard and not single),
            _KINDS.index(kind),
            -len(self.match.path.rstrip("/") if kind is PathKind.PREFIX else self.match.path),
            *self.candidate.order,
        )


def explain(table: RouteTable, request: Request) -> Explanation:
    """What `table` makes of `request`, and why."""
    hosts: HostMap[VirtualHost] = HostMap()
    router: Router[None] = Router()
    for _ in router.fill(table, lambda _: None):
        pass
    for each in table.virtual_hosts:
        hosts.setdefault(each.hostname, False, partial(_itself, each))
    chosen = hosts.best(request.host)
    others = tuple(each.name for each in table.virtual_hosts if each is not chosen)
    if chosen is None:
        return Explanation(table=table.name, others=others)
    found = router.lookup(request)
    winner = found.rule if found is not None else None
    holding, failing = _sorted_out(chosen, request)
    holding.sort(key=lambda each: (each.rule is not winner, each.place))
    return Explanation(
        table=table.name,
        virtual_host=chosen,
        winner=winner,
        verdicts=(*_verdicts(holding), *failing),
        others=others,
    )


def _itself(value: T) -> T:
    return value


def _sorted_out(virtual_host: VirtualHost, request: Request) -> tuple[list[_Holding], list[Verdict]]:
    """(the best match of each rule that has one, a verdict for each rule that has none)."""
    holding: list[_Holding] = []
    failing: list[Verdict] = []
    order = 0
    for rule in virtual_host.rules:
        hostname = _hostname_of(rule, request.host)
        held = [
            _Holding(rule, hostname, Candidate(rule, match, None, order + index))
            for index, match in enumerate(rule.matches)
            if hostname is not None and _holds(match, request)
        ]
        order += len(rule.matches)
        if held:
            holding.append(min(held, key=lambda each: each.place))
        else:
            reasons = tuple(_failures(rule, hostname, request))
            failing.append(Verdict(rule=rule.name, route=rule.route, outcome=Outcome.NO_MATCH, reasons=reasons))
    return holding, failing


def _hostname_of(rule: Rule, host: bytes) -> str | None:
    """The most specific of the rule's hostnames that `host` matches."""
    hostnames: HostMap[str] = HostMap()
    for each in rule.hostnames or ("",):
        hostnames.setdefault(each, rule.single_label_wildcards, partial(_itself, each))
    return hostnames.best(host)


def _holds(match: RouteMatch, request: Request) -> bool:
    index: PathIndex[None] = PathIndex()
    index.add(Candidate(_NO_RULE, match, None, 0))
    return index.find(request) is not None


# -- who loses to whom -------------------------------------------------------------------


def _verdicts(holding: Sequence[_Holding]) -> Iterator[Verdict]:
    """The first of `holding` is the winner."""
    for number, each in enumerate(holding):
        if number:
            criterion, why = _comparison(holding[0], each)
            reason = f"{holding[0].rule.name} goes before it: {why}"
        elif len(holding) > 1:
            criterion, why = _comparison(each, holding[1])
            reason = f"it goes before {holding[1].rule.name}: {why}"
        else:
            criterion, reason = None, "no other rule matches"
        yield Verdict(
            rule=each.rule.name,
            route=each.rule.route,
            outcome=Outcome.LOSES if number else Outcome.WINS,
            match=each.match,
            hostname=each.hostname,
            criterion=criterion,
            reasons=(reason,),
        )


def _comparison(first: _Holding, second: _Holding) -> tuple[Criterion, str]:
    """By what `first` goes before `second`, and that in words."""
    pairs = zip(Criterion, first.place, second.place, strict=True)
    criterion = next((each for each, one, other in pairs if one != other), Criterion.ORDER)
    return criterion, _in_words(criterion, first, second)


def _in_words(criterion: Criterion, first: _Holding, second: _Holding) -> str:
    match criterion:
        case Criterion.HOSTNAME if first.hostname == second.hostname:
            return f"its {first.hostname} stands for one label only"
        case Criterion.HOSTNAME:
            return f"{first.hostname} is more specific than {second.hostname or 'any host'}"
        case Criterion.PATH_TYPE:
            return f"{_KIND_WORDS[first.match.path_kind]} goes before {_KIND_WORDS[second.match.path_kind]}"
        case Criterion.PATH_LENGTH:
            return f"{first.match.path} is longer than {second.match.path}"
        case Criterion.METHOD:
            return "it asks for a method, the other for none"
        case Criterion.ORDER if first.rule.route == second.rule.route:
            return "they tie, and it comes first in the route"
        case Criterion.ORDER:
            return "they tie, and its route comes first (the older one, then by namespace and name)"
    what, count, other = _counts(criterion, first.match, second.match)
    return f"it asks for {count} {what}{'' if count == 1 else 's'}, the other for {other}"


def _counts(criterion: Criterion, first: RouteMatch, second: RouteMatch) -> tuple[str, int, int]:
    match criterion:
        case Criterion.HEADERS:
            return "header", len(first.headers), len(second.headers)
        case Criterion.COOKIES:
            return "cookie", len(first.cookies), len(second.cookies)
    return "query parameter", len(first.query_params), len(second.query_params)


# -- what does not match -----------------------------------------------------------------


def _failures(rule: Rule, hostname: str | None, request: Request) -> Iterator[str]:
    if hostname is None:
        listed = ", ".join(rule.hostnames[:MAX_LISTED])
        more = len(rule.hostnames) - MAX_LISTED
        wanted = f"{listed} and {more} more" if more > 0 else listed
        yield f"the host is {_shown(request.host)}, {'not' if len(rule.hostnames) == 1 else 'none of'} {wanted}"
        return
    for number, match in enumerate(rule.matches, 1):
        which = f"match {number}: " if len(rule.matches) > 1 else ""
        yield which + "; ".join(_failed_conditions(match, request))


def _failed_conditions(match: RouteMatch, request: Request) -> Iterator[str]:
    if not _holds(RouteMatch(path_kind=match.path_kind, path=match.path), request):
        yield f"the path is {_shown(request.path)}, {_NOT_WORDS[match.path_kind]} {match.path}"
    if not _holds(RouteMatch(method=match.method), request):
        yield f"the method is {_shown(request.method)}, not {match.method}"
    kinds: tuple[tuple[str, type[ValueTest], tuple[ValueMatch, ...]], ...] = (
        ("header", HeaderTest, match.headers),
        ("cookie", CookieTest, match.cookies),
        ("query parameter", QueryTest, match.query_params),
    )
    for what, kind, wanted in kinds:
        for each in wanted:
            test = kind(each)
            value = test.value_in(request)
            if value is None:
                yield f"there is no {what} {each.name}"
            elif not test.holds(value):
                difference = "which does not match" if each.regex else "not"
                yield f"{what} {each.name} is {_shown(value)}, {difference} {each.value}"


def _shown(value: bytes) -> str:
    """What a client sent, safe for a terminal."""
    text = value.decode("utf-8", "backslashreplace")
    safe = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text[:MAX_SHOWN])
    return (safe + "…" if len(text) > MAX_SHOWN else safe) or '""'


def describe_match(match: RouteMatch) -> str:
    """``path under /cart, method GET, header x-canary = yes``."""
    parts = [f"path {_PATH_WORDS[match.path_kind]} {match.path}"]
    parts += [f"method {match.method}"] if match.method else []
    for what, wanted in (("header", match.headers), ("cookie", match.cookies), ("query parameter", match.query_params)):
        parts += [f"{what} {each.name} {'~' if each.regex else '='} {each.value}" for each in wanted]
    return ", ".join(parts)
