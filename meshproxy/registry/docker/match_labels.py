"""``path``, ``method``, ``header.NAME``, ``cookie.NAME``, ``query.NAME``: which requests, as HTTPRoute matches.

All labels of one container must hold. ``match.ANY.path`` and so on are alternatives: a request that fits
those of one name is enough. In a value, ``~`` before it makes a regular expression of it, and for paths
``=`` an exact one. Paths and methods may be lists with commas.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import islice, product
from typing import Any, get_args

from meshproxy.loader.rules.http_matches import check_match
from meshproxy.loader.rules.values import Problem, quote
from meshproxy.resources.http_route import (
    HTTPPathMatch,
    HTTPRouteMatch,
    HTTPValueMatch,
    MatchType,
    Method,
    PathMatchType,
)

MATCH_LABELS = ("path", "method")
MATCH_FAMILIES = ("header", "cookie", "query")
MAX_MATCHES = 64
"""As many as a rule of an HTTPRoute may have."""

_METHODS: tuple[Method, ...] = get_args(Method)
_FIELDS = {"header": "headers", "cookie": "cookies", "query": "query_params"}
_PATH_TYPES = {"=": PathMatchType.EXACT, "~": PathMatchType.REGULAR_EXPRESSION}

Wrong = Callable[[str, Problem], None]
"""Told a label and what is wrong with it."""


def read_matches(texts: Mapping[str, str], wrong: Wrong) -> tuple[HTTPRouteMatch, ...]:
    """The alternatives, of which one must hold; none at all for every request.

    `texts` are the labels without their prefix.
    """
    alternatives: dict[str, dict[str, str]] = defaultdict(dict)
    for label in texts:
        name, rest = _split(label)
        if rest in MATCH_LABELS or rest.partition(".")[0] in MATCH_FAMILIES:
            alternatives[name][rest] = label
    matches: dict[HTTPRouteMatch, None] = {}
    for name in sorted(alternatives):
        matches |= dict.fromkeys(_alternative(alternatives[name], texts, wrong))
        if len(matches) > MAX_MATCHES:
            wrong(min(alternatives[name].values()), f"makes more than {MAX_MATCHES} matches")
            break
    return tuple(matches)


def _split(label: str) -> tuple[str, str]:
    """(the alternative's name, the label in it)."""
    if label.startswith("match."):
        name, _, rest = label.removeprefix("match.").partition(".")
        return name, rest
    return "", label


def _alternative(labels: Mapping[str, str], texts: Mapping[str, str], wrong: Wrong) -> Iterator[HTTPRouteMatch]:
    """Every path with every method, each with all the rest."""
    paths: tuple[HTTPPathMatch, ...] = (HTTPPathMatch(),)
    methods: tuple[Method | None, ...] = (None,)
    found: dict[str, list[HTTPValueMatch]] = defaultdict(list)
    sound = True
    for rest, label in sorted(labels.items()):
        family, _, name = rest.partition(".")
        value = texts[label]
        if rest == "path":
            paths = tuple(dict.fromkeys(_paths(value)))
            sound &= _check(label, wrong, *(HTTPRouteMatch(path=path) for path in paths))
        elif rest == "method":
            methods = tuple(dict.fromkeys(_methods(label, value, wrong)))
        else:
            match = _value_match(name, value)
            found[_FIELDS[family]].append(match)
            alone: dict[str, Any] = {_FIELDS[family]: (match,)}
            sound &= _check(label, wrong, HTTPRouteMatch(**alone))
    values: dict[str, Any] = {field: tuple(matches) for field, matches in found.items()}
    if sound:
        _check(min(labels.values()), wrong, HTTPRouteMatch(**values))
    for path, method in islice(product(paths, methods), MAX_MATCHES + 1):
        yield HTTPRouteMatch(path=path, method=method, **values)


def _paths(value: str) -> Iterator[HTTPPathMatch]:
    """A regular expression stands alone: commas are its own."""
    items = [value] if value.startswith("~") else [item.strip() for item in value.split(",")]
    for item in items:
        kind = _PATH_TYPES.get(item[:1])
        if kind is None:
            yield HTTPPathMatch(value=item)
        else:
            yield HTTPPathMatch(type=kind, value=item[1:].strip())


def _methods(label: str, value: str, wrong: Wrong) -> Iterator[Method]:
    for item in value.split(","):
        method = next((each for each in _METHODS if each == item.strip().upper()), None)
        if method is None:
            wrong(label, f"{quote(item.strip())} is none of {', '.join(_METHODS)}")
        else:
            yield method


def _value_match(name: str, value: str) -> HTTPValueMatch:
    if value.startswith("~"):
        return HTTPValueMatch(name=name, value=value[1:], type=MatchType.REGULAR_EXPRESSION)
    return HTTPValueMatch(name=name, value=value)


def _check(label: str, wrong: Wrong, *matches: HTTPRouteMatch) -> bool:
    """Tell what an HTTPRoute's own rules say about `matches`, which `label` makes; whether all is well."""
    findings = [finding for match in matches for finding in check_match("", match)]
    for finding in findings:
        wrong(label, finding.message)
    return not findings
