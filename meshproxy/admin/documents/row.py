"""What all answers have in common."""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The base of every answer: camelCase in JSON, as Kubernetes has it."""


class Owner(NamedTuple):
    """The resource that a listener or cluster is there for.

    `service` is a Service's name; what is none has its kind there: ``Gateway/edge``, or ``Ingress``, which is all
    of them and of no namespace.
    """

    namespace: str
    service: str


def owner_of(service: str) -> Owner:
    """Read `Listener.service`: ``namespace/name``, ``Gateway/namespace/name`` or ``Ingress``."""
    *kind, namespace, name = ["", *service.split("/")]
    return Owner(namespace, "/".join((*filter(None, kind), name)))
