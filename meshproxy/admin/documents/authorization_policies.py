"""AuthorizationPolicies, and Consul's intentions, where this proxy decides by them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from meshproxy.admin.documents.row import Row, owner_of
from meshproxy.admin.view import ProxyView
from meshproxy.authorization.authorizer import NO_POLICY
from meshproxy.snapshot.authorization import NO_IDENTITY, Authorization, AuthorizationDefault, Intention
from meshproxy.snapshot.messages import AUDITED, DENIED
from meshproxy.telemetry.request_totals import DecisionKey

ALLOW = AuthorizationDefault.ALLOW


class AuthorizationPolicyRow(Row, frozen=True, kw_only=True):
    """One policy at one port of a Service, or one listener of a Gateway.

    `rules` are those that are about this port; `denied` is what it refused, `audited` what it would have. What was
    refused since no policy allowed it has a row of its own, whose `action` is `Inbound.default_action`, or empty. An
    intention is one, too: of its permissions, which are its `rules`, `action` says that they decide.
    """

    namespace: str
    name: str
    action: str
    service: str
    port: str
    rules: int
    denied: int
    audited: int


def rows(view: ProxyView) -> Iterator[AuthorizationPolicyRow]:
    """By target; the policies of each in the order of their names."""
    decisions = view.decisions()
    for authorization in view.snapshot().authorizations:
        yield from _of_target(authorization, decisions)


def _of_target(authorization: Authorization, decisions: Mapping[DecisionKey, int]) -> Iterator[AuthorizationPolicyRow]:
    target, _, port = authorization.name.rpartition(":")
    namespace, service = owner_of(target.removeprefix("Service/"))

    def row(policy: str, action: str, rules: int) -> AuthorizationPolicyRow:
        denied, audited = (
            decisions.get(DecisionKey(authorization.name, policy, decision), 0) for decision in (DENIED, AUDITED)
        )
        return AuthorizationPolicyRow(
            namespace=namespace,
            name=policy.rpartition("/")[2],
            action=action,
            service=service,
            port=port,
            rules=rules,
            denied=denied,
            audited=audited,
        )

    for each in authorization.policies:
        yield row(each.policy, each.action, each.rules)
    for intention in _asked(authorization):
        yield row(intention.policy, _action(intention), len(intention.permissions))
    known = {each.policy for each in authorization.policies} | {each.policy for each in authorization.intentions}
    others = {key.policy for key in decisions if key.authorization == authorization.name} - known
    default = "" if authorization.restricted or authorization.default is ALLOW else authorization.default.value
    for policy in sorted(others | {NO_POLICY} if default else others):
        yield row(policy, default if policy == NO_POLICY else "", 0)


def _asked(authorization: Authorization) -> Iterable[Intention]:
    """The intentions, each once, whatever number of destinations and callers it is about."""
    return {each.policy: each for each in authorization.intentions if each.source != NO_IDENTITY}.values()


def _action(intention: Intention) -> str:
    if intention.permissions:
        return "Permissions"
    return "Allow" if intention.allow else "Deny"
