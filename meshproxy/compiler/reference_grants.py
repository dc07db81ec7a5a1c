"""Who may refer to a Service of another namespace (Gateway API ReferenceGrant)."""

from __future__ import annotations

from collections.abc import Iterable

from meshproxy.base.names import NamespacedName
from meshproxy.resources import ReferenceGrant
from meshproxy.resources.http_route import CORE_GROUPS, GATEWAY_GROUP


class GrantIndex:
    """All grants, by who gives them to whom. Each adds to the others; nothing takes away."""

    def __init__(self, grants: Iterable[ReferenceGrant]) -> None:
        self._services: set[tuple[str, str, str | None]] = set()
        for grant in grants:
            sources = [
                each.namespace for each in grant.spec.from_ if (each.group, each.kind) == (GATEWAY_GROUP, "HTTPRoute")
            ]
            targets = [each for each in grant.spec.to if each.group in CORE_GROUPS and each.kind == "Service"]
            for source in sources:
                self._services.update((source, grant.metadata.namespace, target.name or None) for target in targets)

    def lets_http_routes_of(self, namespace: str, service: NamespacedName) -> bool:
        """Whether HTTPRoutes of `namespace` may refer to `service`; those of its own namespace always may."""
        if namespace == service.namespace:
            return True
        every = (namespace, service.namespace, None)
        return every in self._services or (namespace, service.namespace, service.name) in self._services
