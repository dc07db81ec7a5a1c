"""Who may call what. All policies of one Service's port, or of a Gateway's listener, are one `Authorization`.

Deny rules come first; then, where there are allow rules, one of them must hold (as in Istio). Audit rules never
refuse: what they hold for is counted and logged. Consul's intentions, where they are followed, must allow the call as
well.
"""

from __future__ import annotations

import enum

from meshproxy.snapshot.routes import PathKind, ValueMatch
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


class Permission(Value, frozen=True, kw_only=True):
    """Whether requests of some kind may pass: those of which everything that is set holds.

    `path` is compared in its normal form; an empty one is any, and a `PREFIX` need not end where a segment does. Names
    of headers are lower case. Each of `headers` must be there, with a value that matches, each of `other_headers` with
    one that does not, and none of `absent_headers`.
    """

    allow: bool = False
    path_kind: PathKind = PathKind.PREFIX
    path: str = ""
    methods: tuple[str, ...] = ()
    headers: tuple[ValueMatch, ...] = ()
    other_headers: tuple[ValueMatch, ...] = ()
    absent_headers: tuple[str, ...] = ()


ANY_SERVICE = "*"
NO_IDENTITY = ""


class Intention(Value, frozen=True, kw_only=True):
    """What one source may do at one destination, as Consul means it.

    `source` is ``namespace/name``, ``namespace/*``, `ANY_SERVICE`, or `NO_IDENTITY` for callers that no certificate
    vouches for. Each destination has one of each of the last two, so that there is an answer for everybody. Of a
    request the first of `permissions` that holds decides, and `allow` where none does. A connection that is no HTTP
    passes where there are none, and `allow`. `policy` is what people call it.
    """

    destination: str
    source: str
    policy: str
    allow: bool = False
    permissions: tuple[Permission, ...] = ()


class AttachedPolicy(Value, frozen=True, kw_only=True):
    """A policy as people see it: the resource, what it does, and how many of its rules are about the target's port."""

    policy: str
    action: str
    rules: int


class Authorization(Value, frozen=True, kw_only=True):
    """`restricted` says that there is an allow policy, even one without a rule, so that `default` does not count.

    With `closes_connections` connections that are open are looked at again when this changes. Of every destination that
    `intentions` name one must allow the call.
    """

    name: str
    policies: tuple[AttachedPolicy, ...] = ()
    deny: tuple[AuthorizationRule, ...] = ()
    allow: tuple[AuthorizationRule, ...] = ()
    audit: tuple[AuthorizationRule, ...] = ()
    intentions: tuple[Intention, ...] = ()
    restricted: bool = False
    default: AuthorizationDefault = AuthorizationDefault.ALLOW
    closes_connections: bool = False


PARTS_OF_AUTHORIZATIONS = ("deny", "allow", "audit", "intentions")
"""The fields that may hold thousands of values, and travel in parts."""
