"""Whatever is written, what compiles is consistent, and does not depend on the order it was written in."""

from __future__ import annotations

from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from meshproxy.base.errors import errors_in
from meshproxy.compiler.compile import compile_resources
from meshproxy.compiler.memory import CompileMemory
from meshproxy.compiler.virtual_ips import family_of
from meshproxy.resources import EndpointSlice, Proxy, Service, Workload
from meshproxy.resources.endpoints import AddressType, EndpointConditions, EndpointPort, SliceEndpoint
from meshproxy.resources.meta import ObjectMeta, Resource
from meshproxy.resources.proxy import ProxySpec
from meshproxy.resources.service import (
    IPFamilyPolicy,
    Protocol,
    ServicePort,
    ServiceSpec,
    ServiceType,
    SessionAffinity,
    TrafficDistribution,
    TrafficScope,
)
from meshproxy.resources.workload import WorkloadSpec
from meshproxy.snapshot.consistency import check_consistency

NAMES = ("a", "b", "c")
names = st.sampled_from(NAMES)
maybe = st.booleans()


@st.composite
def services(draw: st.DrawFn, name: str) -> Service:
    ports = tuple(
        ServicePort(
            name=f"p{number}",
            port=draw(st.sampled_from((80, 81))) + 2 * number,
            protocol=draw(st.sampled_from(Protocol)),
            target_port=draw(st.sampled_from((None, 8080, "http"))),
        )
        for number in range(draw(st.integers(1, 3)))
    )
    headless = draw(maybe)
    spec = ServiceSpec(
        ports=ports,
        selector=draw(st.sampled_from(({}, {"app": "a"}, {"app": "b", "tier": "x"}))),
        type=ServiceType.CLUSTER_IP if headless else draw(st.sampled_from(ServiceType)),
        cluster_ip="None" if headless else None,
        external_name="example.com",
        ip_family_policy=draw(st.sampled_from((None, *IPFamilyPolicy))),
        session_affinity=draw(st.sampled_from(SessionAffinity)),
        internal_traffic_policy=draw(st.sampled_from(TrafficScope)),
        external_traffic_policy=draw(st.sampled_from(TrafficScope)),
        traffic_distribution=draw(st.sampled_from((None, *TrafficDistribution))),
        publish_not_ready_addresses=draw(maybe),
    )
    return Service(api_version="v1", kind="Service", metadata=ObjectMeta(name=name), spec=spec)


@st.composite
def workloads(draw: st.DrawFn, name: str) -> Workload:
    spec = WorkloadSpec(
        address=draw(st.sampled_from(("10.0.0.1", "10.0.0.2", "fd00::1"))),
        addresses=draw(st.sampled_from(((), ("fd00::2",)))),
        ports=draw(st.sampled_from(({}, {"http": 8080}))),
        weight=draw(st.sampled_from((0, 1, 100))),
        zone=draw(st.sampled_from((None, "near", "far"))),
        node_name=draw(st.sampled_from((None, "here", "there"))),
        ready=draw(maybe),
        terminating=draw(maybe),
    )
    labels = draw(st.sampled_from(({"app": "a"}, {"app": "b"}, {"app": "b", "tier": "x"})))
    metadata = ObjectMeta(name=name, labels=labels)
    return Workload(api_version="meshproxy.dev/v1", kind="Workload", metadata=metadata, spec=spec)


@st.composite
def slices(draw: st.DrawFn, name: str) -> EndpointSlice:
    endpoints = tuple(
        SliceEndpoint(
            addresses=(draw(st.sampled_from(("10.1.0.1", "10.1.0.2"))),),
            conditions=EndpointConditions(
                ready=draw(st.none() | maybe), serving=draw(st.none() | maybe), terminating=draw(st.none() | maybe)
            ),
        )
        for _ in range(draw(st.integers(0, 3)))
    )
    return EndpointSlice(
        api_version="discovery.k8s.io/v1",
        kind="EndpointSlice",
        metadata=ObjectMeta(name=name, labels={"kubernetes.io/service-name": draw(names)}),
        address_type=AddressType.IPV4,
        endpoints=endpoints,
        ports=(EndpointPort(name="p0", port=9000, protocol=draw(st.sampled_from(Protocol))),),
    )


@st.composite
def configurations(draw: st.DrawFn) -> list[Resource]:
    resources: list[Resource] = []
    for name in NAMES:
        resources.extend(draw(make(name)) for make in (services, workloads, slices) if draw(maybe))
    cidr6 = draw(st.sampled_from((None, "fd99::/64")))
    spec = ProxySpec(zone=draw(st.sampled_from((None, "near"))), service_cidr6=cidr6)
    resources.append(Proxy(api_version="meshproxy.dev/v1", kind="Proxy", metadata=ObjectMeta(name="p"), spec=spec))
    return resources


@settings(max_examples=200)
@given(configurations(), st.randoms(use_true_random=False))
def test_consistent_and_independent_of_order(resources: list[Resource], random: object) -> None:
    compiled = compile_resources(resources, hostname="here")
    if not errors_in(compiled.findings):
        check_consistency(compiled.snapshot)
    shuffled = list(resources)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = compile_resources(shuffled, hostname="here")
    assert msgspec.msgpack.encode(again.snapshot) == msgspec.msgpack.encode(compiled.snapshot)
    assert again.findings == compiled.findings


@settings(max_examples=100)
@given(configurations(), configurations(), st.randoms(use_true_random=False))
def test_the_memory_of_other_compilations_changes_nothing(
    first: list[Resource], second: list[Resource], random: Random
) -> None:
    """Some things stay the same objects, some are replaced, come or go, and come back."""
    mixed = [random.choice(pair) for pair in zip(first, second, strict=False)]
    named = {resource.label: resource for resource in mixed}
    memory = CompileMemory()
    for resources in (first, [*named.values()], second, [*named.values()], first):
        without = compile_resources(resources, hostname="here")
        remembered = compile_resources(resources, hostname="here", memory=memory)
        assert remembered == without
        assert remembered.snapshot.version == without.snapshot.version


@settings(max_examples=100)
@given(configurations())
def test_priorities_begin_at_zero_without_gaps_and_terminating_ones_come_last(resources: list[Resource]) -> None:
    for assignment in compile_resources(resources, hostname="here").snapshot.assignments:
        priorities = {endpoint.priority for endpoint in assignment.endpoints}
        assert priorities == set(range(len(priorities)))
        ready = [endpoint.priority for endpoint in assignment.endpoints if not endpoint.terminating]
        terminating = [endpoint.priority for endpoint in assignment.endpoints if endpoint.terminating]
        assert not ready or not terminating or max(ready) < min(terminating)


def make_service(name: str, **spec: object) -> Service:
    fields = ServiceSpec(ports=(ServicePort(port=80),), **spec)  # type: ignore[arg-type]
    return Service(api_version="v1", kind="Service", metadata=ObjectMeta(name=name), spec=fields)


def test_a_derived_address_does_not_depend_on_other_services() -> None:
    alone = compile_resources([make_service("s")]).snapshot.services[0].cluster_ips
    others = [make_service(f"x{number}") for number in range(500)]
    crowd = compile_resources([make_service("s"), *others]).snapshot
    assert next(view.cluster_ips for view in crowd.services if view.name == "s") == alone
    addresses = [view.cluster_ips for view in crowd.services]
    assert len(set(addresses)) == len(addresses)


def test_colliding_addresses_move_on_until_the_range_is_full() -> None:
    proxy = Proxy(
        api_version="meshproxy.dev/v1",
        kind="Proxy",
        metadata=ObjectMeta(name="p"),
        spec=ProxySpec(service_cidr="127.96.0.0/29"),
    )
    full = [make_service(f"s{number}") for number in range(6)]
    compiled = compile_resources([proxy, *full])
    assert not errors_in(compiled.findings)
    assert {view.cluster_ips[0] for view in compiled.snapshot.services} == {f"127.96.0.{n}" for n in range(1, 7)}
    findings = compile_resources([proxy, *full, make_service("s6")]).findings
    assert [finding.message for finding in errors_in(findings)] == ["no address is left in 127.96.0.0/29"]


def test_node_ports_are_stable_and_explicit_ones_win() -> None:
    derived = compile_resources([make_service("s", type=ServiceType.NODE_PORT)]).snapshot.services[0].ports[0].node_port
    assert derived is not None
    taken = Service(
        api_version="v1",
        kind="Service",
        metadata=ObjectMeta(name="t"),
        spec=ServiceSpec(type=ServiceType.NODE_PORT, ports=(ServicePort(port=80, node_port=derived),)),
    )
    services_of = compile_resources([make_service("s", type=ServiceType.NODE_PORT), taken]).snapshot.services
    assert {view.name: view.ports[0].node_port for view in services_of} == {"s": derived + 1, "t": derived}


def test_families() -> None:
    assert [str(family_of(address)) for address in ("127.0.0.1", "::1")] == ["IPv4", "IPv6"]
