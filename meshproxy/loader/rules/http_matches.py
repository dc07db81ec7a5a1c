"""Rules for the matches of an HTTPRoute (Gateway API `HTTPRouteMatch`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from meshproxy.base.errors import Finding, Severity
from meshproxy.loader.rules import http_values, values
from meshproxy.loader.rules.references import too_many
from meshproxy.loader.rules.values import Problem, finding
from meshproxy.resources.http_route import HTTPPathMatch, HTTPRouteMatch, HTTPValueMatch, MatchType, PathMatchType

MAX_VALUES = 16


def check_match(field: str, match: HTTPRouteMatch) -> Iterator[Finding]:
    yield from _check_path(f"{field}.path", match.path)
    yield from _check_values(f"{field}.headers", match.headers, http_values.header_value, str.lower)
    yield from _check_values(f"{field}.queryParams", match.query_params, http_values.query_value, str)
    yield from _check_values(f"{field}.cookies", match.cookies, http_values.cookie_value, str)
    if match.method == "CONNECT":
        message = "CONNECT requests are refused by this proxy, so that this never matches"
        yield Finding(severity=Severity.WARNING, field=f"{field}.method", message=message)


def _check_path(field: str, path: HTTPPathMatch) -> Iterator[Finding]:
    if path.type is not PathMatchType.REGULAR_EXPRESSION:
        yield from finding(f"{field}.value", http_values.path(path.value))
    elif len(path.value) > http_values.MAX_PATH:
        message = f"has {len(path.value)} characters; a path may have {http_values.MAX_PATH} at most"
        yield Finding(field=f"{field}.value", message=message)
    else:
        yield from finding(f"{field}.value", http_values.regex(path.value))


def _check_values(
    field: str, matches: tuple[HTTPValueMatch, ...], exact: Callable[[str], Problem], identity: Callable[[str], str]
) -> Iterator[Finding]:
    """`identity` is what makes two names the same: case does not count in headers."""
    yield from too_many(field, matches, MAX_VALUES)
    for index, match in enumerate(matches):
        yield from finding(f"{field}[{index}].name", http_values.token(match.name))
        if not match.value:
            yield Finding(field=f"{field}[{index}].value", message="must not be empty")
        else:
            check = http_values.regex if match.type is MatchType.REGULAR_EXPRESSION else exact
            yield from finding(f"{field}[{index}].value", check(match.value))
    for index, name in values.repeated(identity(match.name) for match in matches):
        message = f"{values.quote(name)} is here twice; all of a match must hold, and a name has one value"
        yield Finding(field=f"{field}[{index}].name", message=message)
