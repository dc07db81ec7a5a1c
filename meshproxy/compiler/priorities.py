"""Which candidates get traffic, and in which order of preference: kube-proxy's part."""

from __future__ import annotations

from collections.abc import Iterable

from meshproxy.compiler.endpoint_slices import Candidate
from meshproxy.compiler.proxy_settings import Environment
from meshproxy.resources.service import ServiceSpec, TrafficDistribution
from meshproxy.snapshot.model import Endpoint

_WORST = 3
"""The priority of endpoints that serve while they terminate: after every place."""


def usable(candidates: Iterable[Candidate], spec: ServiceSpec, environment: Environment) -> tuple[Endpoint, ...]:
    """Endpoints with xDS priorities, from 0 without gaps.

    Ready ones come by nearness (`trafficDistribution`). Those that terminate and still serve come
    last: kube-proxy uses them when none is ready, and so does the data plane, which also falls
    back to them when no ready one is healthy. Others are left out.
    """
    ranked: list[tuple[int, Candidate]] = []
    for candidate in candidates:
        if candidate.ready or (spec.publish_not_ready_addresses and not candidate.terminating):
            ranked.append((_nearness(candidate, spec.traffic_distribution, environment), candidate))
        elif candidate.serving and candidate.terminating:
            ranked.append((_WORST, candidate))
    levels = {rank: level for level, rank in enumerate(sorted({rank for rank, _ in ranked}))}
    return tuple(endpoint_of(candidate, levels[rank]) for rank, candidate in ranked)


def not_ready(candidates: Iterable[Candidate], spec: ServiceSpec) -> tuple[Endpoint, ...]:
    """The candidates that `usable` leaves out."""
    return tuple(
        endpoint_of(each, 0)
        for each in candidates
        if not each.ready
        and not (each.serving and each.terminating)
        and not (spec.publish_not_ready_addresses and not each.terminating)
    )


def on_node(candidates: Iterable[Candidate], environment: Environment) -> tuple[Candidate, ...]:
    """Those on this proxy's node: `internalTrafficPolicy: Local`."""
    return tuple(each for each in candidates if each.node == environment.node_name)


def _nearness(candidate: Candidate, wanted: TrafficDistribution | None, environment: Environment) -> int:
    if wanted is None:
        return 0
    if wanted is TrafficDistribution.PREFER_SAME_NODE and candidate.node == environment.node_name:
        return 0
    if not environment.zone:
        return 1
    near = environment.zone in (candidate.for_zones or (candidate.zone,))
    return 1 if near else 2


def endpoint_of(candidate: Candidate, priority: int) -> Endpoint:
    return Endpoint(
        address=candidate.address,
        weight=candidate.weight,
        priority=priority,
        name=candidate.name,
        zone=candidate.zone,
        node=candidate.node,
        hostname=candidate.hostname,
        service_account=candidate.service_account,
        terminating=candidate.terminating,
        mesh_port=candidate.mesh_port,
    )
