"""Requests that are refused before they wait for an endpoint: by an authorization, or by a backend's limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from meshproxy.dataplane.cluster import Cluster

if TYPE_CHECKING:
    from meshproxy.dataplane.http.actions import RuleAction
    from meshproxy.dataplane.http.exchange import Exchange
    from meshproxy.dataplane.http.frontend import Frontend


class Refusal(NamedTuple):
    """The answer: `fields` are complete field lines, `flag` and `detail` are for the log."""

    status: int
    flag: str
    detail: str
    fields: bytes = b""


def forbidden(exchange: Exchange, rule: RuleAction, authorization: str) -> Refusal | None:
    """Why the request's client may not have what it asks for.

    A preflight that the rule itself answers is not asked about: browsers send it without what says who they are
    (Fetch standard, "CORS-preflight fetch"), and it gets nothing of an endpoint's.
    """
    if rule.cors is not None and rule.cors.preflight(exchange.head) is not None:
        return None
    client = exchange.client
    policy = client.frontend.authorizers.refusal_of_request(
        authorization, client.caller(exchange.client_address), exchange.head
    )
    return Refusal(403, "RBAC", f"refused by {policy}") if policy else None


def would_be_forbidden(exchange: Exchange, frontend: Frontend) -> bool:
    """Whether a policy that ends connections refuses by now what was granted; `frontend` is what counts now."""
    found = frontend.find(exchange.head)
    authorization = (found[0].authorization if found is not None else "") or frontend.authorization
    caller = exchange.client.caller(exchange.client_address)
    return frontend.authorizers.would_refuse_request(authorization, caller, exchange.head)


def refused(cluster: Cluster, size: int, now: float) -> Refusal | None:
    """Why a request with a body of at least `size` bytes gets no turn: the body's size, or the rate limit."""
    if not cluster.has_http_limits:
        return None
    most = cluster.config.max_request_body
    if most is not None and size > most:
        return Refusal(413, "PL", f"the body is larger than {most} bytes")
    wait = cluster.limiter.take(now) if cluster.limiter is not None else 0.0
    if wait > 0:
        return Refusal(429, "RL", "", b"retry-after: %d\r\n" % -int(-wait // 1))
    return None
