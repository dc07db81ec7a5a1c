"""`gateway.networking.k8s.io/v1` HTTPRoute, spelled as the Gateway API has it.

Extensions of ours, where the Gateway API has nothing: `HTTPRouteMatch.cookies`.
"""

from __future__ import annotations

import enum
from typing import Any, ClassVar, Literal

import msgspec

from meshproxy.base.durations import Duration
from meshproxy.resources.meta import Resource, Shape, default_duration

GATEWAY_GROUP = "gateway.networking.k8s.io"
CORE_GROUPS = ("", "core")
"""How people write the group of a Service; Kubernetes has the first."""


class ParentReference(Shape, frozen=True, kw_only=True):
    """What a route attaches to: a Gateway (edge; `section_name` is a listener's) or a Service (mesh; group ``""``)."""

    name: str
    group: str = GATEWAY_GROUP
    kind: str = "Gateway"
    namespace: str | None = None
    section_name: str | None = None
    port: int | None = None

    @property
    def is_gateway(self) -> bool:
        return self.kind == "Gateway" and self.group == GATEWAY_GROUP

    @property
    def is_service(self) -> bool:
        return self.kind == "Service" and self.group in CORE_GROUPS


class PathMatchType(enum.StrEnum):
    EXACT = "Exact"
    PATH_PREFIX = "PathPrefix"
    REGULAR_EXPRESSION = "RegularExpression"


class MatchType(enum.StrEnum):
    """How a header, a query parameter or a cookie is compared."""

    EXACT = "Exact"
    REGULAR_EXPRESSION = "RegularExpression"


Method = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]
"""Gateway API `HTTPMethod`."""


class HTTPPathMatch(Shape, frozen=True, kw_only=True):
    type: PathMatchType = PathMatchType.PATH_PREFIX
    value: str = "/"


class HTTPValueMatch(Shape, frozen=True, kw_only=True):
    """`HTTPHeaderMatch`, `HTTPQueryParamMatch`, and our cookie match."""

    name: str
    value: str
    type: MatchType = MatchType.EXACT


class HTTPRouteMatch(Shape, frozen=True, kw_only=True):
    """All of it must hold. `cookies` is meshproxy's own."""

    path: HTTPPathMatch = HTTPPathMatch()
    headers: tuple[HTTPValueMatch, ...] = ()
    query_params: tuple[HTTPValueMatch, ...] = ()
    cookies: tuple[HTTPValueMatch, ...] = ()
    method: Method | None = None


class HTTPHeader(Shape, frozen=True, kw_only=True):
    name: str
    value: str


class HTTPHeaderFilter(Shape, frozen=True, kw_only=True):
    set: tuple[HTTPHeader, ...] = ()
    add: tuple[HTTPHeader, ...] = ()
    remove: tuple[str, ...] = ()


class PathModifierType(enum.StrEnum):
    REPLACE_FULL_PATH = "ReplaceFullPath"
    REPLACE_PREFIX_MATCH = "ReplacePrefixMatch"


class HTTPPathModifier(Shape, frozen=True, kw_only=True):
    type: PathModifierType
    replace_full_path: str | None = None
    replace_prefix_match: str | None = None


class HTTPRequestRedirectFilter(Shape, frozen=True, kw_only=True):
    scheme: Literal["http", "https"] | None = None
    hostname: str | None = None
    path: HTTPPathModifier | None = None
    port: int | None = None
    status_code: Literal[301, 302, 303, 307, 308] = 302


class HTTPURLRewriteFilter(Shape, frozen=True, kw_only=True):
    hostname: str | None = None
    path: HTTPPathModifier | None = None


class Fraction(Shape, frozen=True, kw_only=True):
    numerator: int
    denominator: int = 100


class BackendObjectReference(Shape, frozen=True, kw_only=True):
    """A Service and its port."""

    name: str
    group: str = ""
    kind: str = "Service"
    namespace: str | None = None
    port: int | None = None

    @property
    def is_service(self) -> bool:
        return self.kind == "Service" and self.group in CORE_GROUPS


class HTTPRequestMirrorFilter(Shape, frozen=True, kw_only=True):
    """`percent`, 0 to 100, or `fraction`; all requests without either."""

    backend_ref: BackendObjectReference
    percent: int | None = None
    fraction: Fraction | None = None


class HTTPCORSFilter(Shape, frozen=True, kw_only=True):
    allow_origins: tuple[str, ...] = ()
    allow_credentials: bool = False
    allow_methods: tuple[Literal[Method, "*"], ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: int = 5


class FilterType(enum.StrEnum):
    REQUEST_HEADER_MODIFIER = "RequestHeaderModifier"
    RESPONSE_HEADER_MODIFIER = "ResponseHeaderModifier"
    REQUEST_REDIRECT = "RequestRedirect"
    URL_REWRITE = "URLRewrite"
    REQUEST_MIRROR = "RequestMirror"
    CORS = "CORS"
    EXTENSION_REF = "ExtensionRef"
    EXTERNAL_AUTH = "ExternalAuth"


class HTTPRouteFilter(Shape, frozen=True, kw_only=True):
    """Exactly the field that `type` names is set.

    The last two are refused: a filter that is not applied must not be passed over (Gateway API `HTTPRouteFilter.type`).
    """

    type: FilterType
    request_header_modifier: HTTPHeaderFilter | None = None
    response_header_modifier: HTTPHeaderFilter | None = None
    request_redirect: HTTPRequestRedirectFilter | None = None
    url_rewrite: HTTPURLRewriteFilter | None = None
    request_mirror: HTTPRequestMirrorFilter | None = None
    cors: HTTPCORSFilter | None = None
    extension_ref: dict[str, Any] | None = None
    external_auth: dict[str, Any] | None = None


class HTTPBackendRef(BackendObjectReference, frozen=True, kw_only=True):
    """A share of the traffic: `weight`, 0 to 1,000,000, over the sum of the rule's weights."""

    weight: int = 1
    filters: tuple[HTTPRouteFilter, ...] = ()


class HTTPRouteTimeouts(Shape, frozen=True, kw_only=True):
    """``0s`` means none. `backend_request` bounds one try, `request` all of them."""

    request: Duration | None = None
    backend_request: Duration | None = None


class HTTPRouteRetry(Shape, frozen=True, kw_only=True):
    """GEP-1731: response `codes` that are retried, on top of connection errors; `attempts` beyond the first, or 0."""

    codes: tuple[int, ...] = ()
    attempts: int = 2
    backoff: Duration = default_duration("25ms")


class PersistenceType(enum.StrEnum):
    COOKIE = "Cookie"
    HEADER = "Header"


class CookieLifetime(enum.StrEnum):
    PERMANENT = "Permanent"
    SESSION = "Session"


class CookieConfig(Shape, frozen=True, kw_only=True):
    lifetime_type: CookieLifetime = CookieLifetime.SESSION


class SessionPersistence(Shape, frozen=True, kw_only=True):
    """GEP-1619. Without `session_name` a name is derived from the route's."""

    session_name: str | None = None
    absolute_timeout: Duration | None = None
    idle_timeout: Duration | None = None
    type: PersistenceType = PersistenceType.COOKIE
    cookie_config: CookieConfig | None = None


class HTTPRouteTracing(Shape, frozen=True, kw_only=True):
    """Counts in place of the Proxy's `telemetry.tracing.samplePercent`. meshproxy's own."""

    sample_percent: float


class HTTPRouteRule(Shape, frozen=True, kw_only=True):
    """Empty `matches` stand for every request, as their default does."""

    name: str | None = None
    matches: tuple[HTTPRouteMatch, ...] = (HTTPRouteMatch(),)
    filters: tuple[HTTPRouteFilter, ...] = ()
    backend_refs: tuple[HTTPBackendRef, ...] = ()
    timeouts: HTTPRouteTimeouts = HTTPRouteTimeouts()
    retry: HTTPRouteRetry | None = None
    session_persistence: SessionPersistence | None = None
    tracing: HTTPRouteTracing | None = None


class HTTPRouteSpec(Shape, frozen=True, kw_only=True):
    """`hostnames` count for Gateways only: a Service's name is its own."""

    parent_refs: tuple[ParentReference, ...] = ()
    hostnames: tuple[str, ...] = ()
    rules: tuple[HTTPRouteRule, ...] = (HTTPRouteRule(),)
    use_default_gateways: str | None = None

    unsupported: ClassVar[frozenset[str]] = frozenset({"use_default_gateways"})


class HTTPRoute(Resource, frozen=True, kw_only=True):
    spec: HTTPRouteSpec = msgspec.field(default_factory=HTTPRouteSpec)
    status: dict[str, Any] | None = None

    inert: ClassVar[frozenset[str]] = frozenset({"status"})
