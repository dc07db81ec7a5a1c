"""What every resource has: a kind, a name, labels."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import msgspec

from meshproxy.base.durations import Duration, Quantity
from meshproxy.base.names import DEFAULT_NAMESPACE, NamespacedName

_ACRONYMS = {"ca": "CA", "ip": "IP", "ips": "IPs", "cidr": "CIDR", "uid": "UID", "cidr6": "CIDR6"}


def kubernetes_field_name(name: str) -> str:
    """``cluster_ip`` → ``clusterIP``: the JSON name of a Python field, by Kubernetes' API conventions."""
    first, *rest = name.split("_")
    return first + "".join(_ACRONYMS.get(part, part.capitalize()) for part in rest)


class Shape(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    rename=kubernetes_field_name,
):
    """The base of every struct that people write: frozen, by keyword, no unknown fields.

    `unsupported` names the fields (Python names) that Kubernetes knows and meshproxy accepts
    without acting on them: the loader warns when one is set. `inert` names those that carry
    no instruction (bookkeeping of an API server) and are accepted in silence.
    """

    unsupported: ClassVar[frozenset[str]] = frozenset()
    inert: ClassVar[frozenset[str]] = frozenset()


def default_duration(text: str) -> Any:
    """The default of a `Duration` field. (A factory: `msgspec` cannot write such a default into a schema itself.)"""
    return msgspec.field(default_factory=partial(Duration.parse, text))


def default_quantity(text: str) -> Any:
    """The default of a `Quantity` field."""
    return msgspec.field(default_factory=partial(Quantity.parse, text))


class ObjectMeta(Shape, frozen=True, kw_only=True):
    """Kubernetes `meta/v1.ObjectMeta`; what an API server adds is accepted and left alone."""

    name: str
    namespace: str = DEFAULT_NAMESPACE
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    generate_name: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    generation: int | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    owner_references: tuple[dict[str, Any], ...] = ()
    finalizers: tuple[str, ...] = ()
    managed_fields: tuple[dict[str, Any], ...] = ()
    self_link: str | None = None

    inert: ClassVar[frozenset[str]] = frozenset(
        {
            "uid",
            "resource_version",
            "generation",
            "creation_timestamp",
            "deletion_timestamp",
            "deletion_grace_period_seconds",
            "owner_references",
            "finalizers",
            "managed_fields",
            "self_link",
        }
    )
    unsupported: ClassVar[frozenset[str]] = frozenset({"generate_name"})


class Resource(Shape, frozen=True, kw_only=True):
    """Any object with a kind and metadata."""

    api_version: str
    kind: str
    metadata: ObjectMeta

    @property
    def key(self) -> NamespacedName:
        """The object's namespace and name."""
        return NamespacedName(self.metadata.namespace, self.metadata.name)

    @property
    def label(self) -> str:
        """How findings name the object: ``Service/backend``, or ``Service/team-a/backend`` elsewhere."""
        name = self.metadata.name if self.key.namespace == DEFAULT_NAMESPACE else str(self.key)
        return f"{self.kind}/{name}"
