"""Authorizations, and verdicts by them."""

from __future__ import annotations

from typing import Any

from meshproxy.authorization.authorizer import Authorizer, Verdict
from meshproxy.authorization.caller import Caller
from meshproxy.snapshot.authorization import (
    ANY_OPERATION,
    ANY_SOURCE,
    Authorization,
    AuthorizationRule,
    Operation,
    Source,
)
from tests.support.routing import make_request

CART = "spiffe://mesh.local/ns/shop/sa/cart"


def make_rule(policy: str, source: Source = ANY_SOURCE, operation: Operation = ANY_OPERATION) -> AuthorizationRule:
    return AuthorizationRule(policy=policy, sources=(source,), operations=(operation,))


def make_authorizer(*, http: bool = True, **fields: Any) -> Authorizer:
    """Restricted where there are allow rules."""
    config = Authorization(**{"name": "a", "restricted": "allow" in fields, **fields})
    authorizer = Authorizer(config)
    for _ in authorizer.fill(http=http):
        pass
    return authorizer


def verdict(
    authorizer: Authorizer, target: str = "/", *, principal: str = "", ip: str = "10.0.0.1", **request: Any
) -> Verdict:
    return authorizer.of_request(Caller(principal, ip), make_request(target, **request))
