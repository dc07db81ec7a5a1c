"""An HTTPRoute's rules → what a data plane does with a request. Where they apply is its parents' affair."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from meshproxy.base.durations import Duration
from meshproxy.base.names import NamespacedName
from meshproxy.base.stable_hash import stable_hash
from meshproxy.compiler.backends import ANSWERED_500, BackendIndex
from meshproxy.compiler.diagnostics import Diagnostics
from meshproxy.compiler.filters import filters_of
from meshproxy.resources import HTTPRoute, Service
from meshproxy.resources import http_route as resources
from meshproxy.resources.http_route import CookieLifetime, MatchType, PathMatchType
from meshproxy.resources.service import ServicePort
from meshproxy.snapshot.routes import (
    Backend,
    Filters,
    PathKind,
    PersistenceKind,
    RetryCondition,
    RetryPolicy,
    RouteMatch,
    Rule,
    SessionPersistence,
    ValueMatch,
)

_PATH_KINDS = {
    PathMatchType.EXACT: PathKind.EXACT,
    PathMatchType.PATH_PREFIX: PathKind.PREFIX,
    PathMatchType.REGULAR_EXPRESSION: PathKind.REGEX,
}
_NOT_MIRRORED = "nothing is mirrored to it"


class HTTPRouteRules:
    """The rules of each route, compiled once for all Gateways, and once for all Services, that it attaches to."""

    def __init__(self, backends: BackendIndex, diagnostics: Diagnostics) -> None:
        self._backends = backends
        self._diagnostics = diagnostics
        self._known: dict[tuple[NamespacedName, bool], tuple[Rule, ...]] = {}

    def secures(self, service: Service, port: ServicePort) -> bool:
        """See `BackendIndex.secures`."""
        return self._backends.secures(service, port)

    def of(self, route: HTTPRoute, *, with_grants: bool) -> tuple[Rule, ...]:
        """`route`'s rules for any hostname; `with_grants`: see `BackendIndex.of_route`."""
        key = (route.key, with_grants)
        if key not in self._known:
            labels = _labels(route.spec.rules)
            self._known[key] = tuple(
                self._rule(route, index, label, with_grants=with_grants) for index, label in enumerate(labels)
            )
        return self._known[key]

    def _rule(self, route: HTTPRoute, index: int, label: str, *, with_grants: bool) -> Rule:
        rule = route.spec.rules[index]
        field = f"spec.rules[{index}]"
        name = f"{route.key}/{label}"
        if not rule.backend_refs and not any(each.request_redirect for each in rule.filters):
            message = "has neither backendRefs nor a RequestRedirect; its requests are answered with 500"
            self._diagnostics.warning(route, field, message)
        return Rule(
            name=name,
            route=f"HTTPRoute/{route.key}",
            matches=tuple(map(_match, rule.matches)) or (RouteMatch(),),
            filters=self._filters(route, rule.filters, f"{field}.filters", with_grants),
            backends=tuple(
                self._backend(route, ref, f"{field}.backendRefs[{number}]", with_grants)
                for number, ref in enumerate(rule.backend_refs)
            ),
            request_timeout=_seconds(rule.timeouts.request),
            backend_timeout=_seconds(rule.timeouts.backend_request),
            retry=_retry(rule.retry, _timeout(rule.timeouts.backend_request)),
            session_persistence=_persistence(rule.session_persistence, name),
            trace_sampling=rule.tracing.sample_percent / 100 if rule.tracing is not None else None,
        )

    def _backend(self, route: HTTPRoute, ref: resources.HTTPBackendRef, field: str, with_grants: bool) -> Backend:
        target = self._backends.of_route(route, ref, field, ANSWERED_500, with_grant=with_grants)
        return Backend(
            cluster=target.cluster,
            weight=ref.weight,
            label=target.label,
            problem=target.problem,
            filters=self._filters(route, ref.filters, f"{field}.filters", with_grants),
        )

    def _filters(
        self, route: HTTPRoute, filters: Iterable[resources.HTTPRouteFilter], field: str, with_grants: bool
    ) -> Filters:
        return filters_of(filters, field, partial(self._mirror_cluster, route, with_grants))

    def _mirror_cluster(
        self, route: HTTPRoute, with_grants: bool, mirror: resources.HTTPRequestMirrorFilter, field: str
    ) -> str:
        ref = mirror.backend_ref
        return self._backends.of_route(route, ref, field, _NOT_MIRRORED, with_grant=with_grants).cluster


def _labels(rules: Iterable[resources.HTTPRouteRule]) -> list[str]:
    """Each rule's name, or its index where it has none (in a form of its own where that is another's name)."""
    rules = tuple(rules)
    names = {rule.name for rule in rules}
    return [rule.name or (f"#{index}" if str(index) in names else str(index)) for index, rule in enumerate(rules)]


def _match(match: resources.HTTPRouteMatch) -> RouteMatch:
    return RouteMatch(
        path_kind=_PATH_KINDS[match.path.type],
        path=match.path.value,
        method=match.method or "",
        headers=_values(match.headers, fold=True),
        query_params=_values(match.query_params),
        cookies=_values(match.cookies),
    )


def _values(matches: Iterable[resources.HTTPValueMatch], *, fold: bool = False) -> tuple[ValueMatch, ...]:
    """Of several for one name the first counts (Gateway API `HTTPHeaderMatch.name`); `fold`: case is nothing."""
    firsts: dict[str, ValueMatch] = {}
    for match in matches:
        name = match.name.lower() if fold else match.name
        regex = match.type is MatchType.REGULAR_EXPRESSION
        firsts.setdefault(name, ValueMatch(name=name, value=match.value, regex=regex))
    return tuple(firsts.values())


def _seconds(duration: Duration | None) -> float | None:
    """``0s`` stays 0: it says that there is no timeout, whatever the backend's policy has."""
    return None if duration is None else float(duration)


def _timeout(duration: Duration | None) -> float | None:
    """``0s`` is no timeout (Gateway API `HTTPRouteTimeouts`)."""
    return float(duration) if duration else None


def _retry(retry: resources.HTTPRouteRetry | None, backend_timeout: float | None) -> RetryPolicy | None:
    """What fails to connect or takes too long is tried again, and what is answered with one of `codes` (GEP-1731).

    No `attempts` at all is a policy, too: none of the cluster's then counts.
    """
    if retry is None:
        return None
    conditions = [RetryCondition.CONNECT_FAILURE, RetryCondition.RESET]
    if backend_timeout is not None:
        conditions.append(RetryCondition.TIMEOUT)
    if retry.codes:
        conditions.append(RetryCondition.STATUS)
    return RetryPolicy(
        attempts=retry.attempts,
        conditions=tuple(conditions),
        statuses=tuple(sorted(set(retry.codes))),
        backoff=float(retry.backoff),
        per_try_timeout=backend_timeout,
    )


def _persistence(session: resources.SessionPersistence | None, rule: str) -> SessionPersistence | None:
    if session is None:
        return None
    lifetime = session.cookie_config.lifetime_type if session.cookie_config else CookieLifetime.SESSION
    return SessionPersistence(
        name=session.session_name or f"meshproxy-session-{stable_hash(rule):016x}",
        kind=PersistenceKind(session.type.value),
        absolute_timeout=_timeout(session.absolute_timeout),
        idle_timeout=_timeout(session.idle_timeout),
        permanent=lifetime is CookieLifetime.PERMANENT,
    )
