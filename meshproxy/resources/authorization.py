"""`meshproxy.dev/v1` AuthorizationPolicy: who may call what. In the spirit of Istio's, whose rules these are."""

from __future__ import annotations

import enum

from meshproxy.resources.http_route import HTTPValueMatch
from meshproxy.resources.meta import Resource, Shape
from meshproxy.resources.policy import TargetRef


class AuthorizationAction(enum.StrEnum):
    """Audit is Deny that is not enforced: what it would refuse is counted and logged."""

    ALLOW = "Allow"
    DENY = "Deny"
    AUDIT = "Audit"


class ExistingConnections(enum.StrEnum):
    """What becomes of connections that are open already, and that the policy would refuse now."""

    KEEP = "Keep"
    CLOSE = "Close"


class AuthorizationSource(Shape, frozen=True, kw_only=True):
    """Callers: of each list that is given one item must hold, and of the ``not`` lists none.

    `service_accounts` are ``namespace/name``, or a name in the policy's namespace; `principals` whole SPIFFE ids,
    or their beginnings with a ``*``; `ip_blocks` CIDRs.
    """

    service_accounts: tuple[str, ...] = ()
    not_service_accounts: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    not_namespaces: tuple[str, ...] = ()
    principals: tuple[str, ...] = ()
    not_principals: tuple[str, ...] = ()
    ip_blocks: tuple[str, ...] = ()
    not_ip_blocks: tuple[str, ...] = ()


class AuthorizationOperation(Shape, frozen=True, kw_only=True):
    """What is asked for: lists as in `AuthorizationSource`, and all of `headers`.

    `ports` are the Service's. `paths` and `hosts` may begin or end with ``*``.
    """

    methods: tuple[str, ...] = ()
    not_methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    not_paths: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    not_hosts: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    not_ports: tuple[int, ...] = ()
    headers: tuple[HTTPValueMatch, ...] = ()


class AuthorizationRule(Shape, frozen=True, kw_only=True):
    """Holds for one of `from_` asking for one of `to`; without these, for everyone and everything."""

    from_: tuple[AuthorizationSource, ...] = ()
    to: tuple[AuthorizationOperation, ...] = ()


class AuthorizationPolicySpec(Shape, frozen=True, kw_only=True):
    """Without a rule, Allow allows nobody, and Deny and Audit do nothing."""

    target_refs: tuple[TargetRef, ...]
    action: AuthorizationAction = AuthorizationAction.ALLOW
    rules: tuple[AuthorizationRule, ...] = ()
    existing_connections: ExistingConnections = ExistingConnections.KEEP


class AuthorizationPolicy(Resource, frozen=True, kw_only=True):
    """Attached to Services and Gateways of its own namespace."""

    spec: AuthorizationPolicySpec
