"""Which containers of a Service are the same to its clients: its variants.

One variant, `stable`, takes what no other does. The others are there by a label of their own
(``variant``), or since they are canaries, get copies (``mirror``), or take other requests than the rest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from meshproxy.base.stable_hash import stable_hash
from meshproxy.loader.rules import values
from meshproxy.registry.docker.labels import COMPOSE_SERVICE_LABEL, STABLE, Routing
from meshproxy.registry.docker.members import Agreement, Member
from meshproxy.resources.http_route import HTTPRouteMatch


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """`service` is the Service that its requests are sent to; `weight` the sum of its containers' weights."""

    name: str
    service: str
    routing: Routing
    weight: int

    @property
    def is_mirror(self) -> bool:
        return self.routing.mirror is not None


def find_variants(
    service: str, members: Sequence[Member], agreement: Agreement, taken: frozenset[str]
) -> tuple[tuple[Variant, ...], dict[str, str]]:
    """(the variants by name, the variant of each container by its id). `taken` are names that Services have."""
    stable_matches = _matches_of_stable(agreement.members)
    by_name: dict[str, list[Member]] = defaultdict(list)
    names: dict[str, str] = {}
    for member in members:
        names[member.container.id] = name = _name(member, stable_matches)
        by_name[name].append(member)
    variants = []
    for name in sorted(by_name):
        inside = [member for member in agreement.members if names[member.container.id] == name]
        variant = Variant(
            name=name,
            service=_service_name(service, name, taken),
            routing=_routing(inside or by_name[name], agreement),
            weight=sum(member.labels.weight for member in by_name[name]),
        )
        variants.append(variant)
    return tuple(variants), names


def _matches_of_stable(members: Sequence[Member]) -> tuple[HTTPRouteMatch, ...]:
    """None at all, unless everything that could be stable has the same."""
    all_matches = {member.labels.routing.matches for member in members if _could_be_stable(member)}
    return next(iter(all_matches)) if len(all_matches) == 1 else ()


def _could_be_stable(member: Member) -> bool:
    routing = member.labels.routing
    return not member.labels.variant and routing.canary_weight is None and routing.mirror is None


def _name(member: Member, stable_matches: tuple[HTTPRouteMatch, ...]) -> str:
    labels = member.labels
    if labels.variant:
        return labels.variant
    if _could_be_stable(member) and labels.routing.matches == stable_matches:
        return STABLE
    kind = "mirror" if labels.routing.mirror is not None else "canary"
    compose = member.container.labels.get(COMPOSE_SERVICE_LABEL, "")
    if compose and compose != STABLE and values.dns_label(compose) is None:
        return compose
    if not labels.routing.matches:
        return kind
    return f"{kind}-{stable_hash(msgspec.json.encode(labels.routing.matches)) & 0xFFFFFFFF:08x}"


def _service_name(service: str, variant: str, taken: frozenset[str]) -> str:
    """``backend-canary``, or ``backend--canary`` where containers claim the first for themselves."""
    if variant == STABLE:
        return service
    name = f"{service}-{variant}"
    if name in taken:
        name = f"{service}--{variant}"
    if values.dns_label(name) is None:
        return name
    return f"{service[:50].rstrip('-')}-{stable_hash(name) & 0xFFFFFFFF:08x}"


def _routing(members: Sequence[Member], agreement: Agreement) -> Routing:
    return Routing(
        matches=agreement.on("path, header …", lambda member: member.labels.routing.matches, members) or (),
        canary_weight=agreement.on("canary-weight", lambda member: member.labels.routing.canary_weight, members),
        mirror=agreement.on("mirror", lambda member: member.labels.routing.mirror, members),
    )
