# ruff: noqa: E501 a table reads best with a case on a line
"""HTTPRoutes that are wrong, and what is said; HTTPRoutes that are right, of which nothing is said."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshproxy.base.errors import errors_in
from meshproxy.resources import HTTPRoute
from meshproxy.resources.http_route import FilterType, HTTPRouteMatch, PathMatchType
from tests.support.loading import load_text, said

HEAD = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\n"
ROUTE = HEAD + "spec:\n  parentRefs: [{name: g}]\n"


def in_rule(text: str) -> str:
    return ROUTE + "  rules:\n  - " + text + "\n"


def in_match(text: str) -> str:
    return in_rule(f"matches: [{{{text}}}]")


def in_path(value: str, kind: str = "Exact") -> str:
    return in_match(f"path: {{type: {kind}, value: {json.dumps(value)}}}")


def in_filter(text: str) -> str:
    return in_rule(f"filters: [{{{text}}}]")


def in_backend(text: str) -> str:
    return in_rule(f"backendRefs: [{{name: s, port: 80, {text}}}]")


def in_cors(text: str) -> str:
    return in_filter(f"type: CORS, cors: {{{text}}}")


def in_parents(text: str) -> str:
    return HEAD + f"spec:\n  parentRefs: [{text}]\n"


REDIRECT = "type: RequestRedirect, requestRedirect: "
REWRITE = "type: URLRewrite, urlRewrite: "
REQUEST = "type: RequestHeaderModifier, requestHeaderModifier: "
RESPONSE = "type: ResponseHeaderModifier, responseHeaderModifier: "
MIRROR = "type: RequestMirror, requestMirror: {backendRef: {name: s, port: 80}"
SERVICE_PARENT = '{group: "", kind: Service, name: s}'

WRONG: dict[str, tuple[str, str]] = {
    # parents and hostnames
    "no parents": (HEAD, "m.yaml:1: HTTPRoute/r: spec.parentRefs: warning: without parentRefs it is attached to nothing"),
    "too many parents": (in_parents(", ".join(f"{{name: g{n}}}" for n in range(33))), "m.yaml:5: HTTPRoute/r: spec.parentRefs: has 33 items; 32 are the most"),
    "group of a Service": (in_parents("{kind: Service, name: s}"), 'spec.parentRefs[0].group: a Service is of the core group; write group: ""'),
    "group of a Gateway": (in_parents('{group: "", name: g}'), "a Gateway is of the group gateway.networking.k8s.io; leave it out"),
    "another parent": (in_parents("{kind: Gatway, name: g}"), "spec.parentRefs[0].kind: warning: only Gateways and Services are parents here; Gatway is passed over (did you mean Gateway?)"),
    "parent port": (in_parents("{name: g, port: 0}"), "spec.parentRefs[0].port: 0 is no port"),
    "parent namespace": (in_parents("{name: g, namespace: a.b}"), "spec.parentRefs[0].namespace: 'a.b' is no DNS label"),
    "parent section": (in_parents("{name: g, sectionName: A}"), "spec.parentRefs[0].sectionName: 'A' is no DNS name"),
    "parent name": (in_parents("{name: ''}"), "spec.parentRefs[0].name: '' is no DNS name"),
    "parent twice": (in_parents("{name: g}, {name: g}"), "spec.parentRefs[1]: refers to the same part of g as one before it"),
    "parent partly": (in_parents("{name: g}, {name: g, sectionName: a}"), "spec.parentRefs[1]: another refers to g, too: both must have sectionName"),
    "parent mixed": (in_parents("{name: g, port: 80}, {name: g, sectionName: a}"), "spec.parentRefs[1]: another refers to g, too"),
    "hostname of a Service": (in_parents(SERVICE_PARENT) + "  hostnames: [a.b]\n", "spec.hostnames: warning: hostnames count for Gateways only"),
    "IP": (ROUTE + "  hostnames: [10.0.0.1]\n", "m.yaml:6: HTTPRoute/r: spec.hostnames[0]: 10.0.0.1 is an IP address"),
    "any host": (ROUTE + '  hostnames: ["*"]\n', "leave the hostname out if you mean any"),
    "wildcard inside": (ROUTE + '  hostnames: ["a.*.com"]\n', "spec.hostnames[0]: 'a.*.com' is no host name"),
    "wildcard part": (ROUTE + '  hostnames: ["a*.com"]\n', "'a*.com' is no host name"),
    "upper case": (ROUTE + "  hostnames: [Example.COM.]\n", "'Example.COM.' is no host name; did you mean example.com?"),
    "host and port": (ROUTE + '  hostnames: ["a.com:80"]\n', "'a.com:80' is no host name: a DNS name in lower case without a port"),
    "long host": (ROUTE + f"  hostnames: [{'a' * 254}]\n", "is no host name"),
    "default gateways": (ROUTE + "  useDefaultGateways: All\n", "spec.useDefaultGateways: warning: this field is known but not supported yet"),
    # rules
    "no rules": (ROUTE + "  rules: []\n", "spec.rules: must hold a rule at least"),
    "name": (in_rule("name: A b"), "spec.rules[0].name: 'A b' is no DNS name"),
    "same names": (ROUTE + "  rules: [{}, {name: a}, {name: b}, {name: a}]\n", "spec.rules[3].name: the name 'a' is here twice"),
    # matches
    "relative": (in_path("a"), "m.yaml:7: HTTPRoute/r: spec.rules[0].matches[0].path.value: 'a' must begin with /"),
    "empty path": (in_path("", "PathPrefix"), "path.value: '' must begin with /"),
    "two slashes": (in_path("/a//b"), "'/a//b' must not contain //: no request has it in its path"),
    "dot": (in_path("/a/./b"), "must not contain /./"),
    "dots": (in_path("/a/../b"), "must not contain /../"),
    "escape of a letter": (in_path("/%61dmin"), "'/%61dmin' must be '/admin'"),
    "escape in lower case": (in_path("/caf%c3%a9"), "'/caf%c3%a9' must be '/caf%C3%A9'"),
    "slash in disguise": (in_path("/a%2fb"), "must not contain %2f"),
    "SLASH in disguise": (in_path("/a%2Fb"), "must not contain %2F"),
    "fragment": (in_path("/a#b"), "must not contain #"),
    "query": (in_path("/a?b"), "must not contain ?"),
    "dots at the end": (in_path("/a/.."), "must not end with /.."),
    "dot at the end": (in_path("/a/."), "must not end with /."),
    "space": (in_path("/a b"), "'/a b' is no path"),
    "bad escape": (in_path("/a%zz"), "'/a%zz' is no path"),
    "line break": (in_path("/a\n"), "'/a\\n' is no path"),
    "umlaut": (in_path("/ä"), "'/ä' is no path"),
    "long path": (in_path("/" + "a" * 1024), "has 1025 characters; a path may have 1024 at most"),
    "path type": (in_path("/", "Prefix"), "the string 'Prefix' is none of Exact, PathPrefix, RegularExpression (did you mean PathPrefix?)"),
    "lookahead": (in_path("/a(?=b)", "RegularExpression"), "path.value: not a regular expression that is supported: invalid perl operator: (?=; backreferences and lookaround are not supported, so that matching takes linear time"),
    "backreference": (in_path(r"/(a)\1", "RegularExpression"), "backreferences and lookaround are not supported"),
    "unfinished": (in_path("/(a", "RegularExpression"), "missing ): /(a"),
    "long expression": (in_path("/" + "a" * 1024, "RegularExpression"), "has 1025 characters; a path may have 1024 at most"),
    "large expression": (in_path("/.{1000}", "RegularExpression"), "the regular expression is too large"),
    "header name": (in_match("headers: [{name: ':method', value: a}]"), "matches[0].headers[0].name: ':method' is no name"),
    "header value": (in_match('headers: [{name: a, value: "b\\r\\nc: d"}]'), "headers[0].value: 'b\\r\\nc: d' is no value: visible ASCII"),
    "header empty": (in_match("headers: [{name: a, value: ''}]"), "headers[0].value: must not be empty"),
    "header space": (in_match("headers: [{name: a, value: ' a'}]"), "headers[0].value: ' a' is no value"),
    "header expression": (in_match("headers: [{name: a, value: '*', type: RegularExpression}]"), "headers[0].value: not a regular expression that is supported: no argument for repetition operator: *; write \\* for"),
    "header twice": (in_match("headers: [{name: a, value: b}, {name: A, value: c}]"), "headers[1].name: 'a' is here twice"),
    "many headers": (in_match("headers: [" + ", ".join(f"{{name: a{n}, value: b}}" for n in range(17)) + "]"), "matches[0].headers: has 17 items; 16 are the most"),
    "long header": (in_match(f"headers: [{{name: a, value: {'b' * 4097}}}]"), "has 4097 characters; a value may have 4096 at most"),
    "parameter name": (in_match("queryParams: [{name: 'a[]', value: b}]"), "queryParams[0].name: 'a[]' is no name"),
    "parameter twice": (in_match("queryParams: [{name: a, value: b}, {name: a, value: c}]"), "queryParams[1].name: 'a' is here twice"),
    "long parameter": (in_match(f"queryParams: [{{name: a, value: {'b' * 1025}}}]"), "queryParams[0].value: must have 1 to 1024 characters"),
    "cookie name": (in_match("cookies: [{name: 'a=b', value: c}]"), "cookies[0].name: 'a=b' is no name"),
    "cookie value": (in_match("cookies: [{name: a, value: 'b;c'}]"), "cookies[0].value: 'b;c' is no cookie's value"),
    "cookie expression": (in_match("cookies: [{name: a, value: '(', type: RegularExpression}]"), "cookies[0].value: not a regular expression"),
    "method": (in_match("method: get"), "matches[0].method: the string 'get' is none of GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE, PATCH (did you mean GET?)"),
    "CONNECT": (in_match("method: CONNECT"), "method: warning: CONNECT requests are refused by this proxy"),
    # filters
    "filter without its field": (in_filter("type: CORS"), "spec.rules[0].filters[0].cors: this field is required for type: CORS"),
    "filter with another's field": (in_filter(REDIRECT + "{}, cors: {}"), "filters[0].cors: needs type: CORS; the type is RequestRedirect"),
    "filter type": (in_filter("type: Redirect"), "filters[0].type: the string 'Redirect' is none of RequestHeaderModifier"),
    "extension": (in_filter("type: ExtensionRef, extensionRef: {group: a.b, kind: C, name: d}"), "filters[0].type: ExtensionRef is not supported, and requests must not go on without the filter; remove it"),
    "external authorization": (in_filter("type: ExternalAuth, externalAuth: {protocol: HTTP, backendRef: {name: s, port: 80}}"), "ExternalAuth is not supported"),
    "repeated filter": (in_rule(f"filters: [{{{REDIRECT}{{}}}}, {{{REDIRECT}{{}}}}]"), "filters[1].type: there is a filter of the type RequestRedirect already"),
    "redirect and rewrite": (in_rule(f"filters: [{{{REDIRECT}{{}}}}, {{{REWRITE}{{}}}}]"), "spec.rules[0].filters: RequestRedirect and URLRewrite do not go together"),
    "many filters": (in_rule("filters: [" + ", ".join([f"{{{MIRROR}}}}}"] * 17) + "]"), "filters: has 17 items; 16 are the most"),
    "redirect and backends": (in_rule(f"filters: [{{{REDIRECT}{{}}}}]\n    backendRefs: [{{name: s, port: 80}}]"), "m.yaml:8: HTTPRoute/r: spec.rules[0].backendRefs: a rule that redirects has no backendRefs"),
    "status": (in_filter(REDIRECT + "{statusCode: 300}"), "requestRedirect.statusCode: the number 300 is none of 301, 302, 303, 307, 308"),
    "scheme": (in_filter(REDIRECT + "{scheme: ftp}"), "requestRedirect.scheme: the string 'ftp' is none of http, https"),
    "redirect port": (in_filter(REDIRECT + "{port: 70000}"), "requestRedirect.port: 70000 is no port"),
    "redirect host": (in_filter(REDIRECT + '{hostname: "*.a.com"}'), "requestRedirect.hostname: '*.a.com' must not have a wildcard here"),
    "rewrite host": (in_filter(REWRITE + '{hostname: "a.com:80"}'), "urlRewrite.hostname: 'a.com:80' is no host name"),
    "rewrite without a path": (in_filter(REWRITE + "{path: {type: ReplaceFullPath}}"), "urlRewrite.path.replaceFullPath: this field is required for type: ReplaceFullPath"),
    "rewrite of another type": (in_filter(REWRITE + "{path: {type: ReplaceFullPath, replacePrefixMatch: /}}"), "path.replacePrefixMatch: needs type: ReplacePrefixMatch; the type is ReplaceFullPath"),
    "rewrite to nothing": (in_filter(REWRITE + "{path: {type: ReplaceFullPath, replaceFullPath: ''}}"), "replaceFullPath: '' must begin with /"),
    "rewrite breaks a line": (in_filter(REWRITE + '{path: {type: ReplaceFullPath, replaceFullPath: "/ HTTP/1.1\\r\\nA: b"}}'), "is no path"),
    "prefix that is none": (in_filter(REWRITE + "{path: {type: ReplacePrefixMatch, replacePrefixMatch: a}}"), "replacePrefixMatch: 'a' must begin with /"),
    "prefix of an exact path": (in_rule(f"matches: [{{path: {{value: /a}}}}, {{path: {{type: Exact, value: /b}}}}]\n    filters: [{{{REWRITE}{{path: {{type: ReplacePrefixMatch, replacePrefixMatch: /}}}}}}]"), "filters[0].urlRewrite.path.type: ReplacePrefixMatch needs a path of type PathPrefix in every match"),
    "prefix for a backend": (in_rule(f"matches: [{{path: {{type: Exact, value: /b}}}}]\n    backendRefs: [{{name: s, port: 80, filters: [{{{REDIRECT}{{path: {{type: ReplacePrefixMatch, replacePrefixMatch: /}}}}}}]}}]"), "backendRefs[0].filters[0].requestRedirect.path.type: ReplacePrefixMatch needs"),
    "set name": (in_filter(REQUEST + "{set: [{name: a b, value: c}]}"), "requestHeaderModifier.set[0].name: 'a b' is no name"),
    "add value": (in_filter(REQUEST + '{add: [{name: a, value: "b\\0"}]}'), "requestHeaderModifier.add[0].value: 'b\\x00' is no value"),
    "remove name": (in_filter(RESPONSE + "{remove: ['']}"), "responseHeaderModifier.remove[0]: '' is no name"),
    "two actions": (in_filter(REQUEST + "{set: [{name: X-A, value: b}], remove: [x-a]}"), "requestHeaderModifier.remove[0]: there is something to be done with 'x-a' already"),
    "framing": (in_filter(RESPONSE + "{set: [{name: Content-Length, value: '3'}]}"), "set[0].name: Content-Length is the proxy's own"),
    "host header": (in_filter(REQUEST + "{set: [{name: Host, value: a}]}"), "write urlRewrite.hostname"),
    "many headers to set": (in_filter(REQUEST + "{remove: [" + ", ".join(f"a{n}" for n in range(17)) + "]}"), "remove: has 17 items; 16 are the most"),
    "mirror of both": (in_filter(MIRROR + ", percent: 1, fraction: {numerator: 1}}"), "requestMirror: takes percent or fraction, not both"),
    "mirror percent": (in_filter(MIRROR + ", percent: 101}"), "requestMirror.percent: 101 is out of range"),
    "mirror numerator": (in_filter(MIRROR + ", fraction: {numerator: 6, denominator: 5}}"), "fraction.numerator: 6 is out of range; it must be between 0 and the denominator"),
    "mirror denominator": (in_filter(MIRROR + ", fraction: {numerator: 0, denominator: 0}}"), "fraction.denominator: 0 is out of range"),
    "mirror port": (in_filter("type: RequestMirror, requestMirror: {backendRef: {name: s}}"), "requestMirror.backendRef.port: this field is required for a Service"),
    "mirror kind": (in_filter("type: RequestMirror, requestMirror: {backendRef: {kind: Bucket, name: s}}"), "kind: warning: only Services (of the core group) can be backends, not Bucket; nothing is mirrored"),
    "origins": (in_cors('allowOrigins: ["*", "https://a.com"]'), "cors.allowOrigins: * stands for everything, and so stands alone"),
    "origin": (in_cors('allowOrigins: ["a.com"]'), "cors.allowOrigins[0]: 'a.com' is no origin; write it as https://example.com"),
    "origin with a path": (in_cors('allowOrigins: ["https://a.com/"]'), "'https://a.com/' is no origin"),
    "origin wildcard": (in_cors('allowOrigins: ["https://a.*.com"]'), "the host 'a.*.com' must be a name, which may begin with *., or *"),
    "origin port": (in_cors('allowOrigins: ["https://a.com:99999"]'), "99999 is no port"),
    "CORS method": (in_cors("allowMethods: [get]"), "cors.allowMethods[0]: the string 'get' is none of GET"),
    "CORS methods": (in_cors('allowMethods: [GET, "*"]'), "cors.allowMethods: * stands for everything"),
    "CORS header": (in_cors("allowHeaders: [a b]"), "cors.allowHeaders[0]: 'a b' is no name"),
    "CORS header twice": (in_cors("exposeHeaders: [a, a]"), "cors.exposeHeaders[1]: 'a' is here twice"),
    "CORS age": (in_cors("maxAge: 0"), "cors.maxAge: 0 is out of range"),
    # backends
    "no port": (in_rule("backendRefs: [{name: s}]"), "spec.rules[0].backendRefs[0].port: this field is required for a Service"),
    "backend name": (in_rule("backendRefs: [{name: a.b, port: 80}]"), "backendRefs[0].name: 'a.b' is no DNS label"),
    "backend kind": (in_backend("group: multicluster.x-k8s.io, kind: ServiceImport"), "backendRefs[0].kind: warning: only Services (of the core group) can be backends, not ServiceImport of the group 'multicluster.x-k8s.io'; its share of the requests is answered with 500"),
    "weight": (in_backend("weight: -1"), "backendRefs[0].weight: -1 is out of range; it must be between 0 and 1000000"),
    "backend namespace": (in_backend("namespace: A"), "backendRefs[0].namespace: 'A' is no DNS label"),
    "backend filter": (in_backend("filters: [{type: CORS}]"), "backendRefs[0].filters[0].cors: this field is required"),
    "many backends": (in_rule("backendRefs: [" + ", ".join(["{name: s, port: 80}"] * 17) + "]"), "backendRefs: has 17 items; 16 are the most"),
    # timeouts, retries, sessions
    "timeouts": (in_rule("timeouts: {request: 1s, backendRequest: 2s}"), "timeouts.backendRequest: 2s is longer than the whole request may take, 1s"),
    "timeout without a unit": (in_rule("timeouts: {request: 1}"), "timeouts.request: 1 has no unit"),
    "code": (in_rule("retry: {codes: [200]}"), "retry.codes[0]: 200 is out of range; it must be between 400 and 599"),
    "code twice": (in_rule("retry: {codes: [500, 500]}"), "retry.codes[1]: 500 is here twice"),
    "attempts": (in_rule("retry: {attempts: -1}"), "retry.attempts: -1 is out of range"),
    "backoff": (in_rule("retry: {backoff: 0s}"), "retry.backoff: must be longer than 0s"),
    "permanent cookie": (in_rule("sessionPersistence: {cookieConfig: {lifetimeType: Permanent}}"), "sessionPersistence.absoluteTimeout: this field is required for a cookie whose lifetimeType is Permanent"),
    "cookie for a header": (in_rule("sessionPersistence: {type: Header, cookieConfig: {}}"), "cookieConfig: needs type: Cookie; the type is Header"),
    "session name": (in_rule("sessionPersistence: {sessionName: 'a b'}"), "sessionName: 'a b' is no name"),
    "long session name": (in_rule(f"sessionPersistence: {{sessionName: {'a' * 129}}}"), "has 129 characters; 128 are the most"),
    "session timeout": (in_rule("sessionPersistence: {idleTimeout: 0s}"), "idleTimeout: must be longer than 0s"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_said(case: str) -> None:
    text, expected = WRONG[case]
    messages = said(text)
    assert any(expected in message for message in messages), messages


RIGHT: dict[str, str] = {
    "smallest": ROUTE,
    "status": ROUTE + "status: {parents: []}\n",
    "v1beta1": ROUTE.replace("/v1", "/v1beta1"),
    "parents": in_parents('{name: g, sectionName: a}, {name: g, sectionName: b, namespace: n}, {group: "", kind: Service, name: s, port: 80}, {group: core, kind: Service, name: t}'),
    "parts of a parent": in_parents("{name: g, port: 80, sectionName: a}, {name: g, port: 80, sectionName: b}"),
    "hostnames": ROUTE + '  hostnames: [a, a.b, "*.a.b", 1.example.com]\n',
    "matches": in_match("path: {type: Exact, value: '/a/b%20c/.d/..e'}, method: GET, headers: [{name: A, value: b c}, {name: b, value: 'c.*', type: RegularExpression}], queryParams: [{name: a, value: ä}, {name: A, value: b}], cookies: [{name: canary, value: 'yes'}]"),
    "no matches": in_rule("matches: []"),
    "header of two words": in_match("headers: [{name: user-agent, value: \"a  b\\tc\"}]"),
    "expression": in_path(r"/(v1|v2)/[^/]+/\d{1,20}(\?.*)?", "RegularExpression"),
    "redirect": in_filter(REDIRECT + "{scheme: https, hostname: a.com, port: 8443, statusCode: 308, path: {type: ReplacePrefixMatch, replacePrefixMatch: ''}}"),
    "rewrite of two prefixes": in_rule(f"matches: [{{path: {{value: /a}}}}, {{path: {{value: /b}}}}]\n    filters: [{{{REWRITE}{{path: {{type: ReplacePrefixMatch, replacePrefixMatch: /c/}}}}}}]"),
    "headers": in_rule(f"filters: [{{{REQUEST}{{set: [{{name: a, value: b}}], add: [{{name: c, value: 'd, e'}}], remove: [f]}}}}, {{{RESPONSE}{{set: [{{name: Host, value: a}}]}}}}]"),
    "mirrors": in_rule(f"filters: [{{{MIRROR}, percent: 0}}}}, {{{MIRROR}, fraction: {{numerator: 1, denominator: 1000}}}}}}]"),
    "CORS": in_cors('allowOrigins: ["https://*.a.com:8443", "http://*", "https://10.0.0.1"], allowMethods: ["*"], allowHeaders: [a, b], allowCredentials: true, maxAge: 600'),
    "weights": in_rule("backendRefs: [{name: s, port: 80, weight: 0}, {name: t, port: 80, weight: 1000000, namespace: n}]"),
    "no timeout": in_rule("timeouts: {request: 0s, backendRequest: 5s}"),
    "retry": in_rule("retry: {codes: [500, 503], attempts: 0, backoff: 100ms}"),
    "session": in_rule("sessionPersistence: {sessionName: id, absoluteTimeout: 1h, idleTimeout: 5m, cookieConfig: {lifetimeType: Permanent}}"),
    "a thousand rules": ROUTE + "  rules:\n" + "".join(f"  - matches: [{{path: {{value: /p{n}}}}}]\n" for n in range(1000)),
}  # fmt: skip


@pytest.mark.parametrize("case", RIGHT)
def test_nothing_is_said(case: str) -> None:
    loaded = load_text(RIGHT[case])
    assert (loaded.findings, len(loaded.resources)) == ((), 1)


def test_defaults_are_the_gateway_apis() -> None:
    (route,) = load_text(in_rule("backendRefs: [{name: s, port: 80}]")).resources
    assert isinstance(route, HTTPRoute)
    (rule,) = route.spec.rules
    assert rule.matches == (HTTPRouteMatch(),)
    assert (rule.matches[0].path.type, rule.matches[0].path.value) == (PathMatchType.PATH_PREFIX, "/")
    (backend,) = rule.backend_refs
    assert (backend.weight, backend.is_service, route.spec.parent_refs[0].is_gateway) == (1, True, True)


def test_both_versions_are_one_kind() -> None:
    (message,) = said(ROUTE + "---\n" + ROUTE.replace("/v1", "/v1beta1"))
    assert "there is one of this name already, in m.yaml:1" in message
    (message,) = said(ROUTE.replace("/v1", "/v2"))
    assert "HTTPRoute is known as gateway.networking.k8s.io/v1 or gateway.networking.k8s.io/v1beta1, not" in message


WORDS = st.sampled_from([*string.printable, "/", "*.", "%2f", "(?=", "\0", "ä", "GET", "http://", "{1000}", "Service"])
TEXTS = st.lists(WORDS, max_size=8).map("".join)
VALUE_MATCH = st.fixed_dictionaries(
    {"name": TEXTS, "value": TEXTS}, optional={"type": st.sampled_from(["Exact", "RegularExpression"])}
)
PATHS = st.fixed_dictionaries(
    {"type": st.sampled_from(["ReplaceFullPath", "ReplacePrefixMatch"])},
    optional={"replaceFullPath": TEXTS, "replacePrefixMatch": TEXTS},
)
BACKENDS = st.fixed_dictionaries(
    {"name": TEXTS}, optional={"port": st.integers(), "kind": TEXTS, "group": TEXTS, "namespace": TEXTS}
)
HEADERS = st.lists(st.fixed_dictionaries({"name": TEXTS, "value": TEXTS}), max_size=3)
MODIFIERS = st.fixed_dictionaries({}, optional={"set": HEADERS, "add": HEADERS, "remove": st.lists(TEXTS, max_size=3)})
FILTERS = st.fixed_dictionaries(
    {"type": st.sampled_from([str(each) for each in FilterType])},
    optional={
        "requestHeaderModifier": MODIFIERS,
        "responseHeaderModifier": MODIFIERS,
        "requestRedirect": st.fixed_dictionaries(
            {}, optional={"hostname": TEXTS, "port": st.integers(), "path": PATHS}
        ),
        "urlRewrite": st.fixed_dictionaries({}, optional={"hostname": TEXTS, "path": PATHS}),
        "requestMirror": st.fixed_dictionaries({"backendRef": BACKENDS}, optional={"percent": st.integers()}),
        "cors": st.fixed_dictionaries(
            {}, optional={"allowOrigins": st.lists(TEXTS, max_size=3), "maxAge": st.integers()}
        ),
    },
)
MATCHES = st.fixed_dictionaries(
    {},
    optional={
        "path": st.fixed_dictionaries({"value": TEXTS}, optional={"type": st.sampled_from(list(PathMatchType))}),
        "headers": st.lists(VALUE_MATCH, max_size=3),
        "queryParams": st.lists(VALUE_MATCH, max_size=3),
        "cookies": st.lists(VALUE_MATCH, max_size=3),
    },
)
RULES = st.fixed_dictionaries(
    {},
    optional={
        "name": TEXTS,
        "matches": st.lists(MATCHES, max_size=2),
        "filters": st.lists(FILTERS, max_size=3),
        "backendRefs": st.lists(BACKENDS, max_size=2),
        "retry": st.fixed_dictionaries({"codes": st.lists(st.integers(), max_size=2)}),
        "sessionPersistence": st.fixed_dictionaries({"sessionName": TEXTS}),
    },
)


@settings(max_examples=300)
@given(
    spec=st.fixed_dictionaries(
        {},
        optional={
            "hostnames": st.lists(TEXTS, max_size=2),
            "rules": st.lists(RULES, max_size=2),
            "parentRefs": st.lists(BACKENDS, max_size=2),
        },
    )
)
def test_any_route_gives_findings_or_a_resource(spec: object) -> None:
    document = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "x"}}
    loaded = load_text(json.dumps({**document, "spec": spec}))
    assert loaded.resources or errors_in(loaded.findings)
