"""Names of namespaced objects."""

from __future__ import annotations

from typing import NamedTuple

DEFAULT_NAMESPACE = "default"


class NamespacedName(NamedTuple):
    """A namespaced object's identity, written ``namespace/name`` (Kubernetes `types.NamespacedName`)."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @classmethod
    def parse(cls, text: str, default_namespace: str = DEFAULT_NAMESPACE) -> NamespacedName:
        """Read ``name`` or ``namespace/name``; a bare name lies in `default_namespace`."""
        namespace, slash, name = text.partition("/")
        return cls(namespace, name) if slash else cls(default_namespace, text)
