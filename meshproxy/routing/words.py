"""What a rule does, in words for people."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.snapshot.routes import (
    CORS,
    Backend,
    Filters,
    HeaderMutation,
    Mirror,
    PathRewrite,
    Redirect,
    RetryCondition,
    RetryPolicy,
    Rewrite,
    Rule,
)

_RETRIED_WHEN = {
    RetryCondition.CONNECT_FAILURE: "connect failure",
    RetryCondition.RESET: "reset",
    RetryCondition.TIMEOUT: "timeout",
}


def shares(backends: tuple[Backend, ...]) -> tuple[float, ...]:
    """The share of the requests that each backend gets: its weight over the sum of all, 0 where that is 0."""
    total = sum(each.weight for each in backends)
    return tuple(each.weight / total if total else 0.0 for each in backends)


def describe_limits(rule: Rule) -> Iterator[str]:
    """``request timeout 10s``, ``2 retries on connect failure, 503``, ``sessions by cookie sid``."""
    for what, seconds in (("request", rule.request_timeout), ("backend", rule.backend_timeout)):
        if seconds is not None:
            yield f"{what} timeout {seconds:g}s" if seconds else f"no {what} timeout"
    if rule.retry is not None:
        yield _retry(rule.retry)
    if rule.session_persistence is not None:
        yield f"sessions by {rule.session_persistence.kind.value.lower()} {rule.session_persistence.name}"


def _retry(retry: RetryPolicy) -> str:
    when = [_RETRIED_WHEN[each] for each in retry.conditions if each in _RETRIED_WHEN]
    if RetryCondition.STATUS in retry.conditions:
        when += map(str, retry.statuses)
    attempts = f"{retry.attempts} {'retry' if retry.attempts == 1 else 'retries'}"
    return f"{attempts} on {', '.join(when)}" if when else attempts


def describe_filters(filters: Filters) -> Iterator[str]:
    """``set request header x: y``, ``redirect 301 to https://…``; in the order in which they take effect."""
    if filters.cors is not None:
        yield _cors(filters.cors)
    if filters.request_headers is not None:
        yield from _headers("request", filters.request_headers)
    if filters.redirect is not None:
        yield _redirect(filters.redirect)
    if filters.rewrite is not None:
        yield from _rewrite(filters.rewrite)
    yield from map(_mirror, filters.mirrors)
    if filters.response_headers is not None:
        yield from _headers("response", filters.response_headers)


def _headers(whose: str, headers: HeaderMutation) -> Iterator[str]:
    for name, value in headers.set:
        yield f"set {whose} header {name}: {value}"
    for name, value in headers.add:
        yield f"add {whose} header {name}: {value}"
    for name in headers.remove:
        yield f"remove {whose} header {name}"


def _redirect(redirect: Redirect) -> str:
    parts = (
        f"scheme {redirect.scheme}" if redirect.scheme else "",
        f"host {redirect.hostname}" if redirect.hostname else "",
        f"port {redirect.port}" if redirect.port else "",
        _path(redirect.path) if redirect.path else "",
    )
    return f"redirect {redirect.status} to {', '.join(filter(None, parts)) or 'the same URL'}"


def _rewrite(rewrite: Rewrite) -> Iterator[str]:
    if rewrite.hostname is not None:
        yield f"rewrite host to {rewrite.hostname}"
    if rewrite.path is not None:
        yield f"rewrite {_path(rewrite.path, ' to ')}"


def _path(path: PathRewrite, to: str = " ") -> str:
    return f"path{to}{path.full}" if path.full is not None else f"path prefix{to}{path.prefix or '/'}"


def _mirror(mirror: Mirror) -> str:
    share = 100 * mirror.numerator / mirror.denominator if mirror.denominator else 0
    return f"mirror {share:g}% to {mirror.cluster}"


def _cors(cors: CORS) -> str:
    credentials = ", with credentials" if cors.allow_credentials else ""
    return f"CORS for {', '.join(cors.allow_origins) or 'no origin'}{credentials}"
