"""`meshproxy.dev/v1` Workload: what a Pod is to a Service."""

from __future__ import annotations

from meshproxy.resources.inbound import DEFAULT_MESH_PORT
from meshproxy.resources.meta import Resource, Shape

DEFAULT_WEIGHT = 100


class WorkloadMesh(Shape, frozen=True, kw_only=True):
    """Where its sidecar takes mutual TLS, for every port of the workload."""

    port: int = DEFAULT_MESH_PORT


class WorkloadSpec(Shape, frozen=True, kw_only=True):
    """One running instance of a program.

    `address` is an IP, or a host name, which stands for all addresses that the name has; `addresses`
    holds more of them (the other IP family). `ports` maps port names to numbers, which a Service's
    named `targetPort` resolves against. `weight` is relative, 0 to 65535, and 0 means no traffic.
    `ready`, `serving` and `terminating` are what EndpointSlice conditions are. With `mesh` it is in the mesh, as
    `service_account`, which is ``default`` where none is said.
    """

    address: str
    addresses: tuple[str, ...] = ()
    ports: dict[str, int] = {}
    weight: int = DEFAULT_WEIGHT
    zone: str | None = None
    node_name: str | None = None
    hostname: str | None = None
    service_account: str | None = None
    ready: bool = True
    serving: bool | None = None
    terminating: bool = False
    mesh: WorkloadMesh | None = None


class Workload(Resource, frozen=True, kw_only=True):
    """A workload that Service selectors match by its labels, wherever it was found."""

    spec: WorkloadSpec
