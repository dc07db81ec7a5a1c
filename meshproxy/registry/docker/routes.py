"""The variants of a Service as the rules of one HTTPRoute.

A rule for each set of requests that labels speak of. Who takes them: those without ``canary-weight`` share
what canaries leave; where there are none, the requests go, after the canaries' share, where they would
have gone without the rule. Mirrors get copies of the requests of their rule, or of all.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import gcd, lcm

from meshproxy.loader.rules.http_route import MAX_WEIGHT
from meshproxy.registry.docker.labels import MAX_CANARY_WEIGHT
from meshproxy.registry.docker.variants import Variant
from meshproxy.resources.http_route import (
    BackendObjectReference,
    FilterType,
    HTTPBackendRef,
    HTTPRequestMirrorFilter,
    HTTPRouteFilter,
    HTTPRouteMatch,
    HTTPRouteRule,
)

Matches = tuple[HTTPRouteMatch, ...]
ALL: Matches = ()
ROUNDED_TO = 10_000
"""Shares that no weights can say exactly are rounded to these parts of all."""


def make_rules(variants: Sequence[Variant], port: int) -> tuple[HTTPRouteRule, ...]:
    """The rules, for the Services' port `port`; none where nobody could answer."""
    mirrors = [variant for variant in variants if variant.is_mirror]
    takers = [variant for variant in variants if not variant.is_mirror]
    sets = dict.fromkeys((ALL, *(variant.routing.matches for variant in variants)))
    rules = []
    for matches in sets:
        shares = _shares(takers, matches)
        if shares:
            rules.append(
                HTTPRouteRule(
                    matches=matches or (HTTPRouteMatch(),),
                    filters=tuple(_copies(mirrors, matches, port)),
                    backend_refs=tuple(
                        HTTPBackendRef(name=name, port=port, weight=weight) for name, weight in shares.items()
                    ),
                )
            )
    return tuple(rules)


def is_trivial(rules: Sequence[HTTPRouteRule], service: str) -> bool:
    """Whether the Service does the same without them."""
    return len(rules) == 1 and rules[0] == HTTPRouteRule(
        backend_refs=(HTTPBackendRef(name=service, port=rules[0].backend_refs[0].port, weight=1),)
    )


def overbooked(variants: Sequence[Variant]) -> list[Variant]:
    """The canaries of one set of requests that want more than all of them."""
    for matches in dict.fromkeys(variant.routing.matches for variant in variants):
        canaries = [each for each in variants if each.routing.matches == matches and each.routing.canary_weight]
        if sum(each.routing.canary_weight or 0 for each in canaries) > MAX_CANARY_WEIGHT:
            return canaries
    return []


def _shares(takers: Sequence[Variant], matches: Matches) -> dict[str, int]:
    """Weights by Service, as small as they can be written."""
    parts = _parts(takers, matches)
    unit = lcm(*(part.denominator for part in parts.values()))
    weights = {name: int(part * unit) for name, part in parts.items()}
    divisor = gcd(*weights.values()) or 1
    if max(weights.values(), default=0) // divisor <= MAX_WEIGHT:
        return {name: weight // divisor for name, weight in weights.items()}
    return {name: round(part * ROUNDED_TO) for name, part in parts.items()}


def _parts(takers: Sequence[Variant], matches: Matches) -> dict[str, Fraction]:
    """Each Service's part of these requests; the parts together are 1, or more where canaries want more."""
    mine = [variant for variant in takers if variant.routing.matches == matches]
    canaries = {
        each.service: Fraction(each.routing.canary_weight, MAX_CANARY_WEIGHT)
        for each in mine
        if each.routing.canary_weight is not None
    }
    rest = _by_weight([each for each in mine if each.routing.canary_weight is None])
    if not rest and matches != ALL:
        rest = _parts(takers, ALL)
    left = max(Fraction(0), 1 - sum(canaries.values()))
    parts = {name: part * left for name, part in rest.items()}
    for name, part in canaries.items():
        parts[name] = parts.get(name, Fraction(0)) + part
    return parts


def _by_weight(variants: Sequence[Variant]) -> dict[str, Fraction]:
    """Everything, shared in proportion to the weights of their containers; alike where all are 0."""
    total = sum(variant.weight for variant in variants)
    if not total:
        return {variant.service: Fraction(1, len(variants)) for variant in variants}
    return {variant.service: Fraction(variant.weight, total) for variant in variants}


def _copies(mirrors: Sequence[Variant], matches: Matches, port: int) -> list[HTTPRouteFilter]:
    return [
        HTTPRouteFilter(
            type=FilterType.REQUEST_MIRROR,
            request_mirror=HTTPRequestMirrorFilter(
                backend_ref=BackendObjectReference(name=each.service, port=port), percent=each.routing.mirror
            ),
        )
        for each in mirrors
        if each.routing.matches in (ALL, matches)
    ]
