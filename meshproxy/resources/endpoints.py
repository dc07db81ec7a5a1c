"""Endpoints written by hand: `discovery/v1.EndpointSlice` and the older `core/v1.Endpoints`."""

from __future__ import annotations

import enum
from typing import Any, ClassVar

from meshproxy.resources.meta import Resource, Shape
from meshproxy.resources.service import Protocol

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
"""The label that ties an EndpointSlice to its Service."""


class AddressType(enum.StrEnum):
    IPV4 = "IPv4"
    IPV6 = "IPv6"
    FQDN = "FQDN"


class EndpointConditions(Shape, frozen=True, kw_only=True):
    """`discovery/v1.EndpointConditions`; an absent `ready` or `serving` means true, `terminating` false."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class ForZone(Shape, frozen=True, kw_only=True):
    name: str


class ForNode(Shape, frozen=True, kw_only=True):
    name: str


class EndpointHints(Shape, frozen=True, kw_only=True):
    for_zones: tuple[ForZone, ...] = ()
    for_nodes: tuple[ForNode, ...] = ()


class SliceEndpoint(Shape, frozen=True, kw_only=True):
    """`discovery/v1.Endpoint`: one to a hundred addresses, of which consumers use the first."""

    addresses: tuple[str, ...]
    conditions: EndpointConditions = EndpointConditions()
    hostname: str | None = None
    node_name: str | None = None
    zone: str | None = None
    hints: EndpointHints = EndpointHints()
    target_ref: dict[str, Any] | None = None
    deprecated_topology: dict[str, str] | None = None

    inert: ClassVar[frozenset[str]] = frozenset({"target_ref", "deprecated_topology"})


class EndpointPort(Shape, frozen=True, kw_only=True):
    """`discovery/v1.EndpointPort`; `name` matches the Service port's name, "" where it has none."""

    name: str = ""
    port: int | None = None
    protocol: Protocol = Protocol.TCP
    app_protocol: str | None = None


class EndpointSlice(Resource, frozen=True, kw_only=True):
    """A slice of a Service's endpoints; several slices of one Service are merged."""

    address_type: AddressType
    endpoints: tuple[SliceEndpoint, ...] = ()
    ports: tuple[EndpointPort, ...] = ()

    @property
    def service_name(self) -> str | None:
        """The Service that this slice belongs to, in the slice's own namespace."""
        return self.metadata.labels.get(SERVICE_NAME_LABEL)


class EndpointAddress(Shape, frozen=True, kw_only=True):
    ip: str
    hostname: str | None = None
    node_name: str | None = None
    target_ref: dict[str, Any] | None = None

    inert: ClassVar[frozenset[str]] = frozenset({"target_ref"})


class EndpointSubset(Shape, frozen=True, kw_only=True):
    """`core/v1.EndpointSubset`: the cross product of its addresses and ports."""

    addresses: tuple[EndpointAddress, ...] = ()
    not_ready_addresses: tuple[EndpointAddress, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


class Endpoints(Resource, frozen=True, kw_only=True):
    """`core/v1.Endpoints`: belongs to the Service of the same namespace and name."""

    subsets: tuple[EndpointSubset, ...] = ()
