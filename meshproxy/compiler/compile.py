"""The compiler itself: every resource in, one snapshot and what is wrong with it out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import msgspec

from meshproxy.base.errors import Finding
from meshproxy.base.names import NamespacedName
from meshproxy.base.stable_hash import content_version
from meshproxy.compiler import node_ports, virtual_ips
from meshproxy.compiler.address_conflicts import check_addresses
from meshproxy.compiler.authorization import AuthorizationIndex
from meshproxy.compiler.diagnostics import Diagnostics
from meshproxy.compiler.endpoint_slices import EndpointIndex
from meshproxy.compiler.http_policies import http_listener
from meshproxy.compiler.inbound import compile_inbound, default_action, local_services
from meshproxy.compiler.intentions import IntentionIndex
from meshproxy.compiler.memory import CompileMemory
from meshproxy.compiler.policies import PolicyIndex
from meshproxy.compiler.proxy_settings import DEFAULT_PROXY, environment_of, settings_of
from meshproxy.compiler.reference_grants import GrantIndex
from meshproxy.compiler.request_routing import Indexes, route_requests
from meshproxy.compiler.services import Context, Parts, compile_service
from meshproxy.compiler.tls_materials import MaterialIndex
from meshproxy.compiler.upstream_tls import UpstreamTLSIndex
from meshproxy.resources import (
    AuthorizationPolicy,
    BackendTLSPolicy,
    ConfigMap,
    Endpoints,
    EndpointSlice,
    Gateway,
    Proxy,
    ReferenceGrant,
    Secret,
    Service,
    ServiceIntentions,
    TrafficPolicy,
    Workload,
)
from meshproxy.resources.meta import Resource
from meshproxy.snapshot.model import Listener, Snapshot, WorkloadView
from meshproxy.snapshot.tls import TLSMaterial

R = TypeVar("R", bound=Resource)


class Compiled(NamedTuple):
    """Where `findings` holds an error the snapshot is not to be used."""

    snapshot: Snapshot
    findings: tuple[Finding, ...]
    materials: tuple[TLSMaterial, ...] = ()
    """Keys and certificates that the snapshot names; in it they would be written to disk, and shown."""


def compile_resources(
    resources: Iterable[Resource],
    *,
    hostname: str = "localhost",
    sources: Mapping[int, str] | None = None,
    memory: CompileMemory | None = None,
) -> Compiled:
    """Compile everything that the sources hold.

    `hostname` names this node where the Proxy document does not. `sources` maps the `id` of a
    resource to the name of its source. The order of `resources` does not matter. With the `memory`
    of the compilation before, what did not change is not made again.
    """
    everything, workloads = _sorted(resources)
    diagnostics = Diagnostics()
    proxy = next(iter(_of_kind(everything, Proxy)), DEFAULT_PROXY)
    settings = settings_of(proxy, hostname)
    environment = environment_of(proxy, settings)
    services = {service.key: service for service in _of_kind(everything, Service)}
    memory = (memory or CompileMemory()).begun(environment)
    endpoints = _endpoint_index(everything, workloads, services, diagnostics)
    policies = PolicyIndex(_of_kind(everything, TrafficPolicy), services, diagnostics)
    indexes = _indexes(everything, proxy, services, policies, diagnostics)
    routed = route_requests(
        everything,
        services,
        proxy=proxy,
        http=http_listener(None, proxy),
        indexes=indexes,
        diagnostics=diagnostics,
    )
    context = Context(
        proxy=proxy,
        environment=environment,
        virtual_ips=virtual_ips.allocate(services.values(), environment, diagnostics),
        node_ports=node_ports.allocate(services.values(), diagnostics),
        policies=policies,
        endpoints=endpoints,
        tls=indexes.tls,
        diagnostics=diagnostics,
        tables=routed.by_port,
        authorizations=indexes.authorizations,
        memory=memory,
    )
    parts = Parts()
    for service in services.values():
        compile_service(service, context, parts)
    endpoints.warn_of_orphans(services)
    inbound = compile_inbound(
        proxy, services, endpoints, http_listener(None, proxy), indexes.authorizations, diagnostics
    )
    listeners = _by_name((*parts.listeners.values(), *routed.listeners, *inbound.listeners))
    parts.clusters.update(inbound.clusters)
    parts.assignments.update((each.cluster, each.endpoints) for each in inbound.assignments)
    check_addresses(listeners, environment, (*everything, proxy), diagnostics)
    views = _workload_views(workloads, parts, sources or {}, memory)
    memory.end()
    snapshot = Snapshot(
        version="",
        settings=settings,
        listeners=listeners,
        clusters=tuple(parts.clusters[name] for name in sorted(parts.clusters)),
        assignments=parts.sorted_assignments(),
        route_tables=routed.tables,
        authorizations=indexes.authorizations.made(),
        tls_files=indexes.materials.files,
        services=tuple(parts.views),
        workloads=views,
    )
    return Compiled(_versioned(snapshot), diagnostics.findings(), indexes.materials.materials)


def _versioned(snapshot: Snapshot) -> Snapshot:
    return msgspec.structs.replace(snapshot, version=content_version(msgspec.msgpack.encode(snapshot)))


def _by_name(listeners: Iterable[Listener]) -> tuple[Listener, ...]:
    return tuple(sorted(listeners, key=lambda listener: listener.name))


def _sorted(resources: Iterable[Resource]) -> tuple[list[Resource], list[Workload]]:
    """Everything but Workloads, by kind and name, and these, of which there may be thousands."""
    everything: list[Resource] = []
    workloads: list[Workload] = []
    for each in resources:
        if isinstance(each, Workload):
            workloads.append(each)
        else:
            everything.append(each)
    everything.sort(key=lambda resource: (resource.kind, resource.key))
    workloads.sort(key=lambda workload: (workload.metadata.namespace, workload.metadata.name))
    return everything, workloads


def _endpoint_index(
    everything: Sequence[Resource],
    workloads: Sequence[Workload],
    services: Mapping[NamespacedName, Service],
    diagnostics: Diagnostics,
) -> EndpointIndex:
    keys = {key for service in services.values() for key in service.spec.selector}
    slices, written = _of_kind(everything, EndpointSlice), _of_kind(everything, Endpoints)
    return EndpointIndex(workloads, slices, written, keys, diagnostics)


def _indexes(
    everything: Sequence[Resource],
    proxy: Proxy,
    services: Mapping[NamespacedName, Service],
    policies: PolicyIndex[TrafficPolicy],
    diagnostics: Diagnostics,
) -> Indexes:
    gateways = {gateway.key: gateway for gateway in _of_kind(everything, Gateway)}
    grants = GrantIndex(_of_kind(everything, ReferenceGrant))
    materials = MaterialIndex([*_of_kind(everything, Secret), *_of_kind(everything, ConfigMap)], grants, diagnostics)
    backends = PolicyIndex(_of_kind(everything, BackendTLSPolicy), services, diagnostics)
    return Indexes(
        AuthorizationIndex(
            _of_kind(everything, AuthorizationPolicy),
            services,
            gateways,
            local_services(proxy),
            default_action(proxy),
            IntentionIndex(_of_kind(everything, ServiceIntentions), proxy),
            diagnostics,
        ),
        materials,
        UpstreamTLSIndex(policies, backends, materials, diagnostics, has_identity=proxy.spec.identity is not None),
    )


def _of_kind(resources: Iterable[Resource], kind: type[R]) -> list[R]:
    return [each for each in resources if isinstance(each, kind)]


def _workload_views(
    workloads: Iterable[Workload], parts: Parts, sources: Mapping[int, str], memory: CompileMemory
) -> tuple[WorkloadView, ...]:
    services = parts.workload_services
    made = []
    for workload in workloads:
        inputs = (workload, sources.get(id(workload), ""), services.get(id(workload), ()))
        made.append(memory.recall(id(workload), inputs, partial(_workload_view, *inputs)))
    return tuple(made)


def _workload_view(workload: Workload, source: str, services: Iterable[str]) -> tuple[WorkloadView, bool]:
    view = WorkloadView(
        namespace=workload.metadata.namespace,
        name=workload.metadata.name,
        addresses=(workload.spec.address, *workload.spec.addresses),
        source=source,
        labels=dict(sorted(workload.metadata.labels.items())),
        ports=dict(sorted(workload.spec.ports.items())),
        weight=workload.spec.weight,
        zone=workload.spec.zone or "",
        node=workload.spec.node_name or "",
        service_account=workload.spec.service_account or "",
        ready=workload.spec.ready,
        terminating=workload.spec.terminating,
        services=tuple(services),
    )
    return view, True
