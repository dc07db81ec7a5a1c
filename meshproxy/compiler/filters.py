"""An HTTPRoute's filters → what is done to requests and responses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from meshproxy.resources.http_route import (
    HTTPCORSFilter,
    HTTPHeaderFilter,
    HTTPPathModifier,
    HTTPRequestMirrorFilter,
    HTTPRequestRedirectFilter,
    HTTPRouteFilter,
    HTTPURLRewriteFilter,
    PathModifierType,
)
from meshproxy.snapshot.routes import (
    CORS,
    NO_FILTERS,
    Filters,
    HeaderMutation,
    Mirror,
    PathRewrite,
    Redirect,
    Rewrite,
)

FindCluster = Callable[[HTTPRequestMirrorFilter, str], str]
"""The cluster that a mirror filter in a field goes to, or ``""`` where it is refused."""


def filters_of(filters: Iterable[HTTPRouteFilter], field: str, cluster_of: FindCluster) -> Filters:
    """`filters` in one value; `field` is their path in the document.

    A mirror without a cluster is left out: the Gateway API has such a backend dropped, and the request
    itself goes on. A type comes once but for mirrors, so the order that filters are written in says nothing.
    """
    merged: dict[str, Any] = {}
    mirrors: list[Mirror] = []
    for index, each in enumerate(filters):
        if each.request_header_modifier is not None:
            merged["request_headers"] = _headers(each.request_header_modifier)
        if each.response_header_modifier is not None:
            merged["response_headers"] = _headers(each.response_header_modifier)
        if each.request_redirect is not None:
            merged["redirect"] = _redirect(each.request_redirect)
        if each.url_rewrite is not None:
            merged["rewrite"] = _rewrite(each.url_rewrite)
        if each.cors is not None:
            merged["cors"] = _cors(each.cors)
        if each.request_mirror is not None:
            cluster = cluster_of(each.request_mirror, f"{field}[{index}].requestMirror.backendRef")
            mirrors.extend(_mirrors(each.request_mirror, cluster))
    if not merged and not mirrors:
        return NO_FILTERS
    return Filters(mirrors=tuple(mirrors), **merged)


def _headers(headers: HTTPHeaderFilter) -> HeaderMutation:
    return HeaderMutation(
        set=tuple((each.name, each.value) for each in headers.set),
        add=tuple((each.name, each.value) for each in headers.add),
        remove=headers.remove,
    )


def _path(path: HTTPPathModifier | None) -> PathRewrite | None:
    if path is None:
        return None
    if path.type is PathModifierType.REPLACE_FULL_PATH:
        return PathRewrite(full=path.replace_full_path or "/")
    return PathRewrite(prefix=path.replace_prefix_match or "")


def _redirect(redirect: HTTPRequestRedirectFilter) -> Redirect:
    return Redirect(
        scheme=redirect.scheme,
        hostname=redirect.hostname,
        port=redirect.port,
        path=_path(redirect.path),
        status=redirect.status_code,
    )


def _rewrite(rewrite: HTTPURLRewriteFilter) -> Rewrite:
    return Rewrite(hostname=rewrite.hostname, path=_path(rewrite.path))


def _cors(cors: HTTPCORSFilter) -> CORS:
    return CORS(
        allow_origins=cors.allow_origins,
        allow_methods=cors.allow_methods,
        allow_headers=cors.allow_headers,
        expose_headers=cors.expose_headers,
        allow_credentials=cors.allow_credentials,
        max_age=cors.max_age,
    )


def _mirrors(mirror: HTTPRequestMirrorFilter, cluster: str) -> Iterable[Mirror]:
    if not cluster:
        return
    if mirror.fraction is not None:
        yield Mirror(cluster=cluster, numerator=mirror.fraction.numerator, denominator=mirror.fraction.denominator)
    else:
        yield Mirror(cluster=cluster, numerator=100 if mirror.percent is None else mirror.percent)
