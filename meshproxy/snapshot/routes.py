"""RouteTable → VirtualHost → Rule: which request goes where, and what becomes of it on the way.

A listener names one table. Of its virtual hosts the one with the most specific hostname serves a
request and no other (Gateway API: listener isolation). Of that one's rules `meshproxy.routing`
picks by Gateway API precedence; on ties the rule that comes first in `VirtualHost.rules` wins, so
the compiler puts older routes first (then by namespace/name, then in the order written).

Hostnames are lower case, without a port: ``""`` for any, ``example.com``, or ``*.example.com``,
which stands for one label or more. Durations are seconds.
"""

from __future__ import annotations

import enum

from meshproxy.snapshot.value import Value


class PathKind(enum.StrEnum):
    EXACT = "Exact"
    PREFIX = "PathPrefix"
    REGEX = "RegularExpression"


class ValueMatch(Value, frozen=True, kw_only=True):
    """One header, query parameter or cookie. With `regex`, all of the value must match (RE2 syntax, linear time).

    A header's `name` is lower case; the others' are case-sensitive.
    """

    name: str
    value: str
    regex: bool = False


class RouteMatch(Value, frozen=True, kw_only=True):
    """What a request must have; everything that is set must hold (Gateway API `HTTPRouteMatch`).

    A prefix matches by segment: ``/a`` and ``/a/`` match ``/a`` and ``/a/b``, not ``/ab``.
    Nothing in `method` is any method.
    """

    path_kind: PathKind = PathKind.PREFIX
    path: str = "/"
    method: str = ""
    headers: tuple[ValueMatch, ...] = ()
    query_params: tuple[ValueMatch, ...] = ()
    cookies: tuple[ValueMatch, ...] = ()


class HeaderMutation(Value, frozen=True, kw_only=True):
    """Gateway API `HTTPHeaderFilter`: (name, value) pairs; `set` replaces, `add` appends, `remove` drops by name."""

    set: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()


class PathRewrite(Value, frozen=True, kw_only=True):
    """Gateway API `HTTPPathModifier`; exactly one is set. `prefix` replaces the prefix that the rule matched."""

    full: str | None = None
    prefix: str | None = None


class Redirect(Value, frozen=True, kw_only=True):
    """Gateway API `HTTPRequestRedirectFilter`; what is None stays as the request has it.

    Without `port` the answer's is `scheme`'s well-known one (none is written), or, where there is no
    `scheme` either, the listener's (left out where it is the request scheme's well-known one).
    """

    scheme: str | None = None
    hostname: str | None = None
    port: int | None = None
    path: PathRewrite | None = None
    status: int = 302


class Rewrite(Value, frozen=True, kw_only=True):
    """Gateway API `HTTPURLRewriteFilter`."""

    hostname: str | None = None
    path: PathRewrite | None = None


class Mirror(Value, frozen=True, kw_only=True):
    """A share, numerator/denominator, of requests is sent to `cluster` as well; its answers are thrown away."""

    cluster: str
    numerator: int = 100
    denominator: int = 100


class CORS(Value, frozen=True, kw_only=True):
    """Gateway API `HTTPCORSFilter`. Origins may hold ``*`` as a whole, or as the host's leftmost label."""

    allow_origins: tuple[str, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    allow_credentials: bool = False
    max_age: int = 5


class Filters(Value, frozen=True, kw_only=True):
    """What a rule or a backend does to requests and responses."""

    request_headers: HeaderMutation | None = None
    response_headers: HeaderMutation | None = None
    redirect: Redirect | None = None
    rewrite: Rewrite | None = None
    cors: CORS | None = None
    mirrors: tuple[Mirror, ...] = ()


NO_FILTERS = Filters()


class Backend(Value, frozen=True, kw_only=True):
    """A share of a rule's requests (weight over the sum of all). Without a `cluster` it answers 500; see `problem`.

    `label` is how people know it: ``cart:8080``.
    """

    cluster: str = ""
    weight: int = 1
    label: str = ""
    problem: str = ""
    filters: Filters = NO_FILTERS

    @property
    def name(self) -> str:
        """What counts and tables call it."""
        return self.label or self.cluster or "?"


class RetryCondition(enum.StrEnum):
    """When another endpoint is tried: nothing of the response has reached the client by then."""

    CONNECT_FAILURE = "ConnectFailure"
    RESET = "Reset"
    """The upstream hung up before its response began."""
    TIMEOUT = "Timeout"
    """`per_try_timeout` passed."""
    STATUS = "Status"
    """The response has one of `statuses`."""


class RetryPolicy(Value, frozen=True, kw_only=True):
    """`attempts` beyond the first; before the n-th, a pause of `backoff` · 2^(n-1), jittered, 10 · `backoff` at most.

    Requests that are not idempotent (RFC 9110 §9.2.2) are retried only where the endpoint cannot have seen
    them, or with `STATUS`.
    """

    attempts: int = 1
    conditions: tuple[RetryCondition, ...] = (RetryCondition.CONNECT_FAILURE, RetryCondition.RESET)
    statuses: tuple[int, ...] = ()
    backoff: float = 0.025
    per_try_timeout: float | None = None


class PersistenceKind(enum.StrEnum):
    COOKIE = "Cookie"
    HEADER = "Header"


class SessionPersistence(Value, frozen=True, kw_only=True):
    """Gateway API `SessionPersistence`: a client that shows the token goes where it went before.

    A cookie's `absolute_timeout` is its Max-Age where it is `permanent`; a session cookie has none. A token
    older than either timeout is passed over.
    """

    name: str
    kind: PersistenceKind = PersistenceKind.COOKIE
    absolute_timeout: float | None = None
    idle_timeout: float | None = None
    permanent: bool = False


class Rule(Value, frozen=True, kw_only=True):
    """What is done with the requests that one of `matches` holds for (Gateway API `HTTPRouteRule`).

    `name` is unique in its table and is what metrics and logs say: ``shop/cart`` or ``shop/cart/checkout`` for
    route and rule name (or the rule's index). `route` is the resource: ``HTTPRoute/shop/cart``. No `backends`,
    or none with a weight, answers 500 unless a filter redirects. `hostnames` empty is any; with
    `single_label_wildcards` a ``*`` in them stands for exactly one label, as in an Ingress. `authorization` names
    one that counts in place of the listener's. A timeout of 0 is none, whatever the cluster has. `trace_sampling`,
    0 to 1, counts in place of `Tracing.sampling`.
    """

    name: str
    route: str
    hostnames: tuple[str, ...] = ()
    single_label_wildcards: bool = False
    matches: tuple[RouteMatch, ...] = (RouteMatch(),)
    filters: Filters = NO_FILTERS
    backends: tuple[Backend, ...] = ()
    request_timeout: float | None = None
    backend_timeout: float | None = None
    retry: RetryPolicy | None = None
    session_persistence: SessionPersistence | None = None
    authorization: str = ""
    trace_sampling: float | None = None


class VirtualHost(Value, frozen=True, kw_only=True):
    """The rules for one hostname of a listener (a Gateway's listener; a Service has one, for any host)."""

    name: str
    hostname: str = ""
    rules: tuple[Rule, ...] = ()


class RouteTable(Value, frozen=True, kw_only=True):
    """Envoy `route.v3.RouteConfiguration`. A request that no rule matches is answered with 404."""

    name: str
    virtual_hosts: tuple[VirtualHost, ...] = ()
