"""Who may refer to objects of another namespace (Gateway API ReferenceGrant)."""

from __future__ import annotations

from collections.abc import Iterable

from meshproxy.base.names import NamespacedName
from meshproxy.resources import ReferenceGrant
from meshproxy.resources.http_route import CORE_GROUPS, GATEWAY_GROUP


class GrantIndex:
    """All grants, by who gives them to whom. Each adds to the others; nothing takes away."""

    def __init__(self, grants: Iterable[ReferenceGrant]) -> None:
        self._granted: set[tuple[str, str, str, str, str | None]] = set()
        for grant in grants:
            sources = [(each.kind, each.namespace) for each in grant.spec.from_ if each.group == GATEWAY_GROUP]
            targets = [each for each in grant.spec.to if each.group in CORE_GROUPS]
            for kind, namespace in sources:
                self._granted.update(
                    (kind, namespace, target.kind, grant.metadata.namespace, target.name or None) for target in targets
                )

    def lets(self, kind: str, namespace: str, target_kind: str, target: NamespacedName) -> bool:
        """Whether objects of a `kind` of the Gateway API in `namespace` may refer to a core object.

        Those of its own namespace always may.
        """
        if namespace == target.namespace:
            return True
        to_all = (kind, namespace, target_kind, target.namespace)
        return (*to_all, None) in self._granted or (*to_all, target.name) in self._granted
