"""Consul's intentions for the services here. Nobody writes these: a source reads them from an agent, and says so."""

from __future__ import annotations

import enum
from typing import ClassVar

from meshproxy.base.durations import Duration
from meshproxy.resources.meta import Resource, Shape
from meshproxy.resources.proxy import ProxySpec
from meshproxy.resources.sources import SourceSpec

ANYTHING = "*"
"""In place of a source's or a destination's name, or of a namespace: all of them."""
NAMESPACE = "default"
"""Of every service, but in Consul Enterprise."""


class IntentionAction(enum.StrEnum):
    ALLOW = "allow"
    DENY = "deny"

    @classmethod
    def of(cls, allowed: bool) -> IntentionAction:
        return cls.ALLOW if allowed else cls.DENY


class IntentionHeader(Shape, frozen=True, kw_only=True):
    """A header that a request has. All of its value must match `pattern` (RE2), or, with `invert`, must not.

    Without a pattern any value will do, and with `invert` the request has no such header.
    """

    name: str
    pattern: str | None = None
    invert: bool = False


class IntentionPermission(Shape, frozen=True, kw_only=True):
    """What is done with requests of which everything that is set holds. One path at most is."""

    action: IntentionAction
    path_exact: str = ""
    path_prefix: str = ""
    path_regex: str = ""
    methods: tuple[str, ...] = ()
    headers: tuple[IntentionHeader, ...] = ()


class Intention(Shape, frozen=True, kw_only=True):
    """What one source may do. The first of `permissions` that holds for a request decides; without any, `action`."""

    source: str
    namespace: str = NAMESPACE
    destination: str
    action: IntentionAction
    permissions: tuple[IntentionPermission, ...] = ()

    @property
    def label(self) -> str:
        """How people know it: ``Intention/cart => web``, with ``cart.billing`` for one of another namespace."""
        source = self.source if self.namespace == NAMESPACE else f"{self.source}.{self.namespace}"
        return f"Intention/{source} => {self.destination}"


class ServiceIntentionsSpec(Shape, frozen=True, kw_only=True):
    """`intentions` in the order in which they go before each other; `default` is for whom none of them is about."""

    destination: str
    default: IntentionAction
    intentions: tuple[Intention, ...] = ()


class ServiceIntentions(Resource, frozen=True, kw_only=True):
    """Everything that an agent says of who may call `spec.destination`."""

    spec: ServiceIntentionsSpec


class ConsulIntentions(Shape, frozen=True, kw_only=True):
    """The intentions for `destinations`, to be asked of the agent at `address`, as a registry is."""

    address: str
    token_file: str | None = None
    destinations: tuple[str, ...]

    called: ClassVar[str] = "consul/intentions"
    empty_confirmation: ClassVar[Duration] = Duration(0)
    """What is gone is gone at once: somebody took it away."""


def intentions_to_follow(proxy: ProxySpec) -> ConsulIntentions | None:
    """Those that callers of this proxy's own services are judged by; None where they are not.

    To Consul a service here is what its identity says. Where `spec.inbound` gives it another name, who denies calls
    to that name means it, too.
    """
    identity, inbound = proxy.identity, proxy.inbound
    if identity is None or identity.consul is None or not identity.consul.intentions or inbound is None:
        return None
    destinations = dict.fromkeys((identity.service_account or "", *(each.name for each in inbound.services)))
    consul = identity.consul
    return ConsulIntentions(address=consul.address, token_file=consul.token_file, destinations=tuple(destinations))


def registries_of(proxy: ProxySpec) -> tuple[SourceSpec | ConsulIntentions, ...]:
    """Everything that is read besides the files."""
    intentions = intentions_to_follow(proxy)
    return proxy.sources if intentions is None else (*proxy.sources, intentions)
