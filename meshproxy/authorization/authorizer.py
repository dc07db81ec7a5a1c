"""The verdict on a call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from meshproxy.authorization.caller import Caller
from meshproxy.authorization.intentions import IntentionSet
from meshproxy.authorization.operations import Asked
from meshproxy.authorization.rule_set import RuleSet, of_connections, whatever_is_asked
from meshproxy.routing.api import Request
from meshproxy.routing.paths import decoded_path
from meshproxy.snapshot.authorization import Authorization, AuthorizationDefault, AuthorizationRule

NO_POLICY = "no policy"
"""What a verdict names where it is for want of a policy that allows the call."""


class Verdict(NamedTuple):
    """`policy` refused it, where it is not `allowed`; `audited` would have, were it enforced. Empty for none."""

    allowed: bool
    policy: str = ""
    audited: str = ""


_ALLOWED = Verdict(True)


class Authorizer:
    """Decides by one `Authorization`. `fill` it before the first call."""

    __slots__ = ("_allow", "_audit", "_deny", "_has_rules", "_intentions", "config")

    def __init__(self, config: Authorization) -> None:
        self.config = config
        self._deny, self._allow, self._audit = RuleSet(), RuleSet(), RuleSet()
        self._intentions = IntentionSet()
        self._has_rules = bool(config.deny or config.allow or config.audit or config.restricted)

    def fill(self, *, http: bool) -> Iterator[None]:
        """Take in the rules, in steps: for requests, or for connections without any.

        A connection that is no HTTP is denied (and audited) by what a rule says of its caller, whatever requests it
        is about, and allowed only by rules that are about no requests in particular.
        """
        config = self.config
        deny, allow, audit = config.deny, config.allow, config.audit
        if not http:
            deny, audit = tuple(whatever_is_asked(deny)), tuple(whatever_is_asked(audit))
            allow = tuple(of_connections(allow))
        yield from self._deny.fill(deny)
        yield from self._allow.fill(allow)
        yield from self._audit.fill(audit)
        yield from self._intentions.fill(config.intentions)

    def of_request(self, caller: Caller, request: Request) -> Verdict:
        """The verdict on a request, whose path is in its normal form (`routing.paths.normalize_path`)."""
        refusal = self._intentions.refusal_of_request(caller, request)
        if not self._has_rules:
            return self._verdict(refusal, "")
        method, host, path = (each.decode("latin-1") for each in (request.method, request.host, request.path))
        asked = Asked(request, method, host, (path,))
        decoded = decoded_path(request.path).decode("latin-1")
        widely = asked if decoded == path else Asked(request, method, host, (path, decoded))
        denied = refusal or _policy(self._deny.find(caller, widely))
        if not denied and self.config.restricted and self._allow.find(caller, asked) is None:
            denied = NO_POLICY
        return self._verdict(denied, _policy(self._audit.find(caller, widely)))

    def of_connection(self, caller: Caller) -> Verdict:
        """The verdict on a connection that is no HTTP."""
        denied = self._intentions.refusal_of_connection(caller) or _policy(self._deny.find_any_request(caller))
        if not denied and self.config.restricted and self._allow.find_any_request(caller) is None:
            denied = NO_POLICY
        return self._verdict(denied, _policy(self._audit.find_any_request(caller)))

    def _verdict(self, denied: str, audited: str) -> Verdict:
        config = self.config
        if not config.restricted:
            if not denied and config.default is AuthorizationDefault.DENY:
                denied = NO_POLICY
            elif not audited and config.default is AuthorizationDefault.AUDIT:
                audited = NO_POLICY
        return Verdict(not denied, denied, audited) if denied or audited else _ALLOWED


def _policy(rule: AuthorizationRule | None) -> str:
    return rule.policy if rule is not None else ""
