"""Rules for the filters of an HTTPRoute (Gateway API `HTTPRouteFilter`)."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.base.errors import Finding
from meshproxy.loader.rules import http_values, references, values
from meshproxy.loader.rules.references import too_many
from meshproxy.loader.rules.values import finding
from meshproxy.resources.http_route import (
    FilterType,
    HTTPCORSFilter,
    HTTPHeaderFilter,
    HTTPPathModifier,
    HTTPRequestMirrorFilter,
    HTTPRequestRedirectFilter,
    HTTPRouteFilter,
    HTTPURLRewriteFilter,
    PathModifierType,
)

MAX_FILTERS = 16
MAX_HEADERS = 16
MAX_CORS_ITEMS = 64
MAX_INT32 = 2**31 - 1

_FIELDS = {
    FilterType.REQUEST_HEADER_MODIFIER: ("request_header_modifier", "requestHeaderModifier"),
    FilterType.RESPONSE_HEADER_MODIFIER: ("response_header_modifier", "responseHeaderModifier"),
    FilterType.REQUEST_REDIRECT: ("request_redirect", "requestRedirect"),
    FilterType.URL_REWRITE: ("url_rewrite", "urlRewrite"),
    FilterType.REQUEST_MIRROR: ("request_mirror", "requestMirror"),
    FilterType.CORS: ("cors", "cors"),
    FilterType.EXTENSION_REF: ("extension_ref", "extensionRef"),
    FilterType.EXTERNAL_AUTH: ("external_auth", "externalAuth"),
}
"""The (Python, YAML) name of the field that goes with each type."""
_NOT_SUPPORTED = (FilterType.EXTENSION_REF, FilterType.EXTERNAL_AUTH)
_MAY_REPEAT = (FilterType.REQUEST_MIRROR, *_NOT_SUPPORTED)

_FRAMING = frozenset(
    {
        "connection",
        "content-length",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that say where a message ends or are between two neighbours only (RFC 9110 §7.6.1, RFC 9112 §6)."""


def check_filters(field: str, filters: tuple[HTTPRouteFilter, ...]) -> Iterator[Finding]:
    yield from too_many(field, filters, MAX_FILTERS)
    for index, each in enumerate(filters):
        yield from _check_filter(f"{field}[{index}]", each)
    types = {each.type for each in filters}
    if {FilterType.REQUEST_REDIRECT, FilterType.URL_REWRITE} <= types:
        yield Finding(field=field, message="RequestRedirect and URLRewrite do not go together")
    for index, name in values.repeated("" if each.type in _MAY_REPEAT else each.type for each in filters):
        if name:
            yield Finding(field=f"{field}[{index}].type", message=f"there is a filter of the type {name} already")


def _check_filter(field: str, each: HTTPRouteFilter) -> Iterator[Finding]:
    if each.type in _NOT_SUPPORTED:
        message = f"{each.type} is not supported, and requests must not go on without the filter; remove it"
        yield Finding(field=f"{field}.type", message=message)
    for kind, (name, encoded) in _FIELDS.items():
        there = getattr(each, name) is not None
        if kind is each.type and not there:
            yield Finding(field=f"{field}.{encoded}", message=f"this field is required for type: {each.type}")
        elif kind is not each.type and there:
            yield Finding(field=f"{field}.{encoded}", message=f"needs type: {kind}; the type is {each.type}")
    yield from _check_headers(f"{field}.requestHeaderModifier", each.request_header_modifier, of_requests=True)
    yield from _check_headers(f"{field}.responseHeaderModifier", each.response_header_modifier, of_requests=False)
    yield from _check_redirect(f"{field}.requestRedirect", each.request_redirect)
    yield from _check_rewrite(f"{field}.urlRewrite", each.url_rewrite)
    yield from _check_mirror(f"{field}.requestMirror", each.request_mirror)
    yield from _check_cors(f"{field}.cors", each.cors)


def _check_headers(field: str, headers: HTTPHeaderFilter | None, *, of_requests: bool) -> Iterator[Finding]:
    if headers is None:
        return
    names: list[tuple[str, str]] = []
    for what, items in (("set", headers.set), ("add", headers.add)):
        yield from too_many(f"{field}.{what}", items, MAX_HEADERS)
        for index, header in enumerate(items):
            names.append((f"{field}.{what}[{index}].name", header.name))
            yield from finding(f"{field}.{what}[{index}].value", http_values.header_value(header.value))
    yield from too_many(f"{field}.remove", headers.remove, MAX_HEADERS)
    names += [(f"{field}.remove[{index}]", name) for index, name in enumerate(headers.remove)]
    for where, name in names:
        yield from _check_header_name(where, name, of_requests=of_requests)
    for index, name in values.repeated(name.lower() for _, name in names):
        message = f"there is something to be done with {values.quote(name)} already; a header takes one action"
        yield Finding(field=names[index][0], message=message)


def _check_header_name(field: str, name: str, *, of_requests: bool) -> Iterator[Finding]:
    yield from finding(field, http_values.token(name))
    if name.lower() in _FRAMING:
        yield Finding(field=field, message=f"{name} is the proxy's own: it says how a message is sent, not what it is")
    elif name.lower() == "host" and of_requests:
        yield Finding(field=field, message="a filter of type URLRewrite changes the host; write urlRewrite.hostname")


def _check_path(field: str, path: HTTPPathModifier | None) -> Iterator[Finding]:
    if path is None:
        return
    both = (
        (PathModifierType.REPLACE_FULL_PATH, "replaceFullPath", path.replace_full_path),
        (PathModifierType.REPLACE_PREFIX_MATCH, "replacePrefixMatch", path.replace_prefix_match),
    )
    for kind, name, value in both:
        if kind is path.type and value is None:
            yield Finding(field=f"{field}.{name}", message=f"this field is required for type: {path.type}")
        elif kind is not path.type and value is not None:
            yield Finding(field=f"{field}.{name}", message=f"needs type: {kind}; the type is {path.type}")
        elif value or (value == "" and kind is PathModifierType.REPLACE_FULL_PATH):
            yield from finding(f"{field}.{name}", http_values.new_path(value))


def _check_redirect(field: str, redirect: HTTPRequestRedirectFilter | None) -> Iterator[Finding]:
    if redirect is None:
        return
    if redirect.hostname is not None:
        yield from finding(f"{field}.hostname", http_values.precise_hostname(redirect.hostname))
    if redirect.port is not None:
        yield from finding(f"{field}.port", values.port_number(redirect.port))
    yield from _check_path(f"{field}.path", redirect.path)


def _check_rewrite(field: str, rewrite: HTTPURLRewriteFilter | None) -> Iterator[Finding]:
    if rewrite is None:
        return
    if rewrite.hostname is not None:
        yield from finding(f"{field}.hostname", http_values.precise_hostname(rewrite.hostname))
    yield from _check_path(f"{field}.path", rewrite.path)


def _check_mirror(field: str, mirror: HTTPRequestMirrorFilter | None) -> Iterator[Finding]:
    if mirror is None:
        return
    yield from references.check_backend(f"{field}.backendRef", mirror.backend_ref, "nothing is mirrored")
    if mirror.percent is not None:
        yield from finding(f"{field}.percent", values.in_range(mirror.percent, 0, 100))
    if mirror.fraction is None:
        return
    if mirror.percent is not None:
        yield Finding(field=field, message="takes percent or fraction, not both")
    fraction = mirror.fraction
    yield from finding(f"{field}.fraction.denominator", values.in_range(fraction.denominator, 1, MAX_INT32))
    if not 0 <= fraction.numerator <= fraction.denominator:
        message = f"{fraction.numerator} is out of range; it must be between 0 and the denominator"
        yield Finding(field=f"{field}.fraction.numerator", message=message)


def _check_cors(field: str, cors: HTTPCORSFilter | None) -> Iterator[Finding]:
    if cors is None:
        return
    for index, origin in enumerate(cors.allow_origins):
        yield from finding(f"{field}.allowOrigins[{index}]", http_values.origin(origin))
    for name, headers in (("allowHeaders", cors.allow_headers), ("exposeHeaders", cors.expose_headers)):
        for index, header in enumerate(headers):
            yield from finding(f"{field}.{name}[{index}]", http_values.token(header))
    lists: tuple[tuple[str, tuple[str, ...]], ...] = (
        ("allowOrigins", cors.allow_origins),
        ("allowMethods", cors.allow_methods),
        ("allowHeaders", cors.allow_headers),
        ("exposeHeaders", cors.expose_headers),
    )
    for name, items in lists:
        yield from too_many(f"{field}.{name}", items, MAX_CORS_ITEMS)
        if "*" in items and len(items) > 1:
            yield Finding(field=f"{field}.{name}", message="* stands for everything, and so stands alone")
        for index, item in values.repeated(items):
            yield Finding(field=f"{field}.{name}[{index}]", message=f"{values.quote(item)} is here twice")
    yield from finding(f"{field}.maxAge", values.in_range(cors.max_age, 1, MAX_INT32))
