"""Who may call what. All policies of one Service's port, or of a Gateway's listener, are one `Authorization`.

Deny rules come first; then, where there are allow rules, one of them must hold (as in Istio). Audit rules never
refuse: what they hold for is counted and logged.
"""

from __future__ import annotations

import enum

from meshproxy.snapshot.routes import ValueMatch
from meshproxy.snapshot.value import Value


class AuthorizationDefault(enum.StrEnum):
    """What happens to callers where no policy allows anything in particular. Audit: as with Deny, but not enforced."""

    ALLOW = "Allow"
    DENY = "Deny"
    AUDIT = "Audit"


class Source(Value, frozen=True, kw_only=True):
    """Callers. Of each list that is not empty one item must hold, and of the ``not`` lists none.

    `principals` are SPIFFE ids, with a ``*`` at the end for all that begin so (``*`` alone: everyone with an
    identity). `service_accounts` are ``namespace/name``, both and `namespaces` in the peer's verified id.
    `ip_blocks` are CIDRs; what is asked is the client's address.
    """

    principals: tuple[str, ...] = ()
    not_principals: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    not_namespaces: tuple[str, ...] = ()
    service_accounts: tuple[str, ...] = ()
    not_service_accounts: tuple[str, ...] = ()
    ip_blocks: tuple[str, ...] = ()
    not_ip_blocks: tuple[str, ...] = ()


class Operation(Value, frozen=True, kw_only=True):
    """What is asked for over HTTP; lists as in `Source`.

    `paths` and `hosts` may begin or end with a ``*`` (or be one). Paths are compared in their normal form, without
    the query; hosts in lower case, without the port. All `headers` must hold.
    """

    methods: tuple[str, ...] = ()
    not_methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    not_paths: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    not_hosts: tuple[str, ...] = ()
    headers: tuple[ValueMatch, ...] = ()


ANY_SOURCE = Source()
ANY_OPERATION = Operation()


class AuthorizationRule(Value, frozen=True, kw_only=True):
    """Holds for a call by one of `sources` of one of `operations`. `policy` is the resource that it is of."""

    policy: str
    sources: tuple[Source, ...] = (ANY_SOURCE,)
    operations: tuple[Operation, ...] = (ANY_OPERATION,)


class AttachedPolicy(Value, frozen=True, kw_only=True):
    """A policy as people see it: the resource, what it does, and how many of its rules are about the target's port."""

    policy: str
    action: str
    rules: int


class Authorization(Value, frozen=True, kw_only=True):
    """`restricted` says that there is an allow policy, even one without a rule, so that `default` does not count.

    With `closes_connections` connections that are open are looked at again when this changes.
    """

    name: str
    policies: tuple[AttachedPolicy, ...] = ()
    deny: tuple[AuthorizationRule, ...] = ()
    allow: tuple[AuthorizationRule, ...] = ()
    audit: tuple[AuthorizationRule, ...] = ()
    restricted: bool = False
    default: AuthorizationDefault = AuthorizationDefault.ALLOW
    closes_connections: bool = False
