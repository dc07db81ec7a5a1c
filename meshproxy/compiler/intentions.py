"""Consul's intentions → what peers of the programs here are asked besides AuthorizationPolicies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from meshproxy.resources import Proxy, ServiceIntentions
from meshproxy.resources import intentions as resources
from meshproxy.resources.authorization import ExistingConnections
from meshproxy.resources.intentions import ANYTHING, IntentionAction, intentions_to_follow
from meshproxy.snapshot.authorization import ANY_SERVICE, NO_IDENTITY, Intention, Permission
from meshproxy.snapshot.routes import PathKind, ValueMatch

NO_INTENTION = "no intention for {}"
"""What decides over a call that no intention is about: Consul's default."""
NOT_KNOWN = "unknown intentions for {}"
"""What refuses every call until an agent has said whom it allows."""

ANY_VALUE = r"\C*"
"""In RE2's syntax, whatever bytes it has."""


class Intended(NamedTuple):
    """What `Authorization` has of intentions; nothing where they are not asked."""

    intentions: tuple[Intention, ...] = ()
    closes_connections: bool = False


NOT_ASKED = Intended()


class IntentionIndex:
    """The intentions for each service here."""

    def __init__(self, documents: Iterable[ServiceIntentions], proxy: Proxy) -> None:
        self._documents = {each.spec.destination: each for each in documents}
        identity = proxy.spec.identity
        self._asked = intentions_to_follow(proxy.spec) is not None
        self._own = (identity.service_account or "") if identity is not None else ""
        consul = identity.consul if identity is not None else None
        self._closes = consul is not None and consul.existing_connections is ExistingConnections.CLOSE

    def of(self, service: str) -> Intended:
        """Those for `service`, and for what this proxy's identity says it is."""
        if not self._asked:
            return NOT_ASKED
        found = map(self._of_destination, dict.fromkeys((self._own, service)))
        return Intended(tuple(chain.from_iterable(found)), self._closes)

    def _of_destination(self, destination: str) -> Iterable[Intention]:
        """Nobody may call what nothing is known of: what is not known may forbid it."""
        document = self._documents.get(destination)
        if document is not None:
            return _intentions(document)
        policy = NOT_KNOWN.format(destination)
        return [Intention(destination=destination, source=each, policy=policy) for each in (ANY_SERVICE, NO_IDENTITY)]


def _intentions(document: ServiceIntentions) -> Iterator[Intention]:
    """Those that are ever asked, and one for everybody else.

    They come in the order of their precedence. One that is about no caller that none before it is about says nothing;
    of the rest the most precise about a caller is always the first.
    """
    destination, default = document.spec.destination, document.spec.default is IntentionAction.ALLOW
    made: dict[str, Intention] = {}
    for each in document.spec.intentions:
        wider = (ANY_SERVICE, f"{each.namespace}/{ANYTHING}", _source(each))
        if made.keys().isdisjoint(wider):
            made[_source(each)] = _intention(each, destination, default)
    yield from made.values()
    policy = NO_INTENTION.format(destination)
    rest = Intention(destination=destination, source=ANY_SERVICE, policy=policy, allow=default)
    if ANY_SERVICE not in made:
        yield rest
    yield _without_identity(made, rest)


def _without_identity(made: dict[str, Intention], rest: Intention) -> Intention:
    """Who cannot say which service it is may do what every service may: no intention can allow it in particular."""
    wide = (each for source, each in made.items() if source.endswith(ANYTHING))
    refusing = next((each for each in wide if not each.allow or each.permissions), rest)
    return Intention(
        destination=rest.destination,
        source=NO_IDENTITY,
        policy=refusing.policy,
        allow=refusing is rest and rest.allow,
    )


def _source(intention: resources.Intention) -> str:
    return ANY_SERVICE if intention.namespace == ANYTHING else f"{intention.namespace}/{intention.source}"


def _intention(intention: resources.Intention, destination: str, default: bool) -> Intention:
    """Requests that no permission is about are left to the default, and not to an intention of less precedence."""
    permissions = tuple(map(_permission, intention.permissions))
    return Intention(
        destination=destination,
        source=_source(intention),
        policy=intention.label,
        allow=default if permissions else intention.action is IntentionAction.ALLOW,
        permissions=permissions,
    )


def _permission(permission: resources.IntentionPermission) -> Permission:
    headers = permission.headers
    kind, path = _path(permission)
    return Permission(
        allow=permission.action is IntentionAction.ALLOW,
        path_kind=kind,
        path=path,
        methods=permission.methods,
        headers=tuple(_match(each) for each in headers if not each.invert),
        other_headers=tuple(_match(each) for each in headers if each.invert and each.pattern is not None),
        absent_headers=tuple(each.name.lower() for each in headers if each.invert and each.pattern is None),
    )


def _path(permission: resources.IntentionPermission) -> tuple[PathKind, str]:
    if permission.path_exact:
        return PathKind.EXACT, permission.path_exact
    if permission.path_regex:
        return PathKind.REGEX, permission.path_regex
    return PathKind.PREFIX, permission.path_prefix


def _match(header: resources.IntentionHeader) -> ValueMatch:
    pattern = ANY_VALUE if header.pattern is None else header.pattern
    return ValueMatch(name=header.name.lower(), value=pattern, regex=True)
