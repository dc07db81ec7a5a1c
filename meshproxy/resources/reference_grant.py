"""`gateway.networking.k8s.io` ReferenceGrant (v1beta1, v1): who from other namespaces may refer here."""

from __future__ import annotations

from meshproxy.resources.meta import Resource, Shape


class ReferenceGrantFrom(Shape, frozen=True, kw_only=True):
    group: str
    kind: str
    namespace: str


class ReferenceGrantTo(Shape, frozen=True, kw_only=True):
    """Group ``""`` is the core's. Without a `name`, all of that kind in the grant's namespace."""

    group: str = ""
    kind: str
    name: str | None = None


class ReferenceGrantSpec(Shape, frozen=True, kw_only=True):
    from_: tuple[ReferenceGrantFrom, ...]
    to: tuple[ReferenceGrantTo, ...]


class ReferenceGrant(Resource, frozen=True, kw_only=True):
    spec: ReferenceGrantSpec
