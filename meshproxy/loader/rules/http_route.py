"""Rules for HTTPRoutes: those of the Gateway API's custom resource definition, and what it says in prose."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.base.errors import Finding, Severity
from meshproxy.loader.rules import http_values, references, values
from meshproxy.loader.rules.http_filters import check_filters
from meshproxy.loader.rules.http_matches import check_match
from meshproxy.loader.rules.references import too_many
from meshproxy.loader.rules.values import finding
from meshproxy.resources.http_route import (
    CookieLifetime,
    HTTPBackendRef,
    HTTPPathModifier,
    HTTPRouteFilter,
    HTTPRouteRetry,
    HTTPRouteRule,
    HTTPRouteSpec,
    HTTPRouteTimeouts,
    PathMatchType,
    PathModifierType,
    PersistenceType,
    SessionPersistence,
)

# The Gateway API allows 16 hostnames, 16 rules, 64 matches in one and 128 in all, so that an object fits into etcd and
# its rules into an API server's budget. Neither is here; these bounds keep a mistake from filling the memory.
MAX_HOSTNAMES = 1_000
MAX_RULES = 10_000
MAX_MATCHES = 20_000
MAX_BACKENDS = 16
MAX_WEIGHT = 1_000_000
MAX_ATTEMPTS = 100
MAX_SESSION_NAME = 128


def check(spec: HTTPRouteSpec) -> Iterator[Finding]:
    yield from references.check_parents("spec.parentRefs", spec.parent_refs)
    yield from _check_hostnames(spec)
    if not spec.rules:
        yield Finding(field="spec.rules", message="must hold a rule at least; leave it out for one that matches all")
    yield from too_many("spec.rules", spec.rules, MAX_RULES)
    matches = sum(len(rule.matches) for rule in spec.rules)
    if matches > MAX_MATCHES:
        yield Finding(field="spec.rules", message=f"has {matches} matches in all; {MAX_MATCHES} are the most")
        return
    for index, rule in enumerate(spec.rules):
        yield from _check_rule(f"spec.rules[{index}]", rule)
    yield from _check_names(spec.rules)


def _check_hostnames(spec: HTTPRouteSpec) -> Iterator[Finding]:
    yield from too_many("spec.hostnames", spec.hostnames, MAX_HOSTNAMES)
    for index, hostname in enumerate(spec.hostnames):
        yield from finding(f"spec.hostnames[{index}]", http_values.hostname(hostname))
    if spec.hostnames and spec.parent_refs and all(parent.is_service for parent in spec.parent_refs):
        message = "hostnames count for Gateways only: a Service is reached by its own name and address"
        yield Finding(severity=Severity.WARNING, field="spec.hostnames", message=message)


def _check_names(rules: tuple[HTTPRouteRule, ...]) -> Iterator[Finding]:
    named = [(index, rule.name) for index, rule in enumerate(rules) if rule.name is not None]
    for position, name in values.repeated(name for _, name in named):
        yield Finding(field=f"spec.rules[{named[position][0]}].name", message=f"the name {name!r} is here twice")


def _check_rule(field: str, rule: HTTPRouteRule) -> Iterator[Finding]:
    if rule.name is not None:
        yield from finding(f"{field}.name", values.dns_subdomain(rule.name))
    for index, match in enumerate(rule.matches):
        yield from check_match(f"{field}.matches[{index}]", match)
    yield from check_filters(f"{field}.filters", rule.filters)
    yield from _check_prefixes(f"{field}.filters", rule.filters, rule)
    yield from _check_backends(field, rule)
    yield from _check_timeouts(f"{field}.timeouts", rule.timeouts)
    if rule.retry is not None:
        yield from _check_retry(f"{field}.retry", rule.retry)
    if rule.tracing is not None:
        yield from finding(f"{field}.tracing.samplePercent", values.percentage(rule.tracing.sample_percent))
    if rule.session_persistence is not None:
        yield from _check_persistence(f"{field}.sessionPersistence", rule.session_persistence)


def _check_backends(field: str, rule: HTTPRouteRule) -> Iterator[Finding]:
    yield from too_many(f"{field}.backendRefs", rule.backend_refs, MAX_BACKENDS)
    if rule.backend_refs and any(each.request_redirect is not None for each in rule.filters):
        message = "a rule that redirects has no backendRefs: no request reaches them"
        yield Finding(field=f"{field}.backendRefs", message=message)
    for index, backend in enumerate(rule.backend_refs):
        yield from _check_backend(f"{field}.backendRefs[{index}]", backend, rule)


def _check_backend(field: str, backend: HTTPBackendRef, rule: HTTPRouteRule) -> Iterator[Finding]:
    yield from references.check_backend(field, backend, "its share of the requests is answered with 500")
    yield from finding(f"{field}.weight", values.in_range(backend.weight, 0, MAX_WEIGHT))
    yield from check_filters(f"{field}.filters", backend.filters)
    yield from _check_prefixes(f"{field}.filters", backend.filters, rule)


def _check_prefixes(field: str, filters: tuple[HTTPRouteFilter, ...], rule: HTTPRouteRule) -> Iterator[Finding]:
    """ReplacePrefixMatch needs prefixes to replace. (The Gateway API wants one, since Envoy would need more routes.)"""
    if all(match.path.type is PathMatchType.PATH_PREFIX for match in rule.matches):
        return
    for index, each in enumerate(filters):
        for name, path in _paths(each):
            if path is not None and path.type is PathModifierType.REPLACE_PREFIX_MATCH:
                message = "ReplacePrefixMatch needs a path of type PathPrefix in every match of the rule"
                yield Finding(field=f"{field}[{index}].{name}.path.type", message=message)


def _paths(each: HTTPRouteFilter) -> Iterator[tuple[str, HTTPPathModifier | None]]:
    if each.request_redirect is not None:
        yield "requestRedirect", each.request_redirect.path
    if each.url_rewrite is not None:
        yield "urlRewrite", each.url_rewrite.path


def _check_timeouts(field: str, timeouts: HTTPRouteTimeouts) -> Iterator[Finding]:
    request, one = timeouts.request, timeouts.backend_request
    if request and one is not None and one > request:
        message = f"{one} is longer than the whole request may take, {request}"
        yield Finding(field=f"{field}.backendRequest", message=message)


def _check_retry(field: str, retry: HTTPRouteRetry) -> Iterator[Finding]:
    for index, code in enumerate(retry.codes):
        yield from finding(f"{field}.codes[{index}]", values.in_range(code, 400, 599))
    for index, code_again in values.repeated(str(code) for code in retry.codes):
        yield Finding(field=f"{field}.codes[{index}]", message=f"{code_again} is here twice")
    yield from finding(f"{field}.attempts", values.in_range(retry.attempts, 0, MAX_ATTEMPTS))
    yield from finding(f"{field}.backoff", values.positive_duration(retry.backoff))


def _check_persistence(field: str, session: SessionPersistence) -> Iterator[Finding]:
    if session.session_name is not None:
        yield from finding(f"{field}.sessionName", http_values.token(session.session_name))
        if len(session.session_name) > MAX_SESSION_NAME:
            message = f"has {len(session.session_name)} characters; {MAX_SESSION_NAME} are the most"
            yield Finding(field=f"{field}.sessionName", message=message)
    for name, timeout in (("absoluteTimeout", session.absolute_timeout), ("idleTimeout", session.idle_timeout)):
        if timeout is not None:
            yield from finding(f"{field}.{name}", values.positive_duration(timeout))
    config = session.cookie_config
    if config is None:
        return
    if session.type is not PersistenceType.COOKIE:
        yield Finding(field=f"{field}.cookieConfig", message=f"needs type: Cookie; the type is {session.type}")
    elif config.lifetime_type is CookieLifetime.PERMANENT and session.absolute_timeout is None:
        message = "this field is required for a cookie whose lifetimeType is Permanent"
        yield Finding(field=f"{field}.absoluteTimeout", message=message)
