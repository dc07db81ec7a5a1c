"""Whatever routes are written, what compiles is consistent, and does not depend on the order it was written in."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from meshproxy.base.errors import errors_in
from meshproxy.compiler.compile import compile_resources
from meshproxy.resources import Gateway, HTTPRoute, Ingress, Proxy, ReferenceGrant, Service
from meshproxy.resources.gateway import (
    AllowedRoutes,
    FromNamespaces,
    GatewayListener,
    GatewaySpec,
    ListenerProtocol,
    RouteNamespaces,
)
from meshproxy.resources.http_route import (
    GATEWAY_GROUP,
    FilterType,
    HTTPBackendRef,
    HTTPRequestMirrorFilter,
    HTTPRouteFilter,
    HTTPRouteRule,
    HTTPRouteSpec,
    ParentReference,
)
from meshproxy.resources.ingress import (
    HTTPIngressPath,
    HTTPIngressRuleValue,
    IngressBackend,
    IngressRule,
    IngressServiceBackend,
    IngressSpec,
    IngressTLS,
    PathType,
    ServiceBackendPort,
)
from meshproxy.resources.meta import ObjectMeta, Resource
from meshproxy.resources.policy_tls import CertificateSource
from meshproxy.resources.proxy import IngressListener, ProxySpec
from meshproxy.resources.reference_grant import ReferenceGrantFrom, ReferenceGrantSpec, ReferenceGrantTo
from meshproxy.resources.service import Protocol, ServicePort, ServiceSpec, ServiceType
from meshproxy.snapshot.consistency import check_consistency
from meshproxy.snapshot.routes import RouteTable
from tests.support.routing import fill, make_request, winner

NAMESPACES = st.sampled_from(("default", "shop"))
NAMES = ("a", "b")
PORTS = st.sampled_from((80, 81))
HOSTNAMES = st.sampled_from((None, "a.example", "*.example", "x.a.example", "*.a.example"))
TIMES = st.sampled_from((None, "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z", "no time"))
SECRETS = st.sampled_from(("a", "b"))
maybe = st.booleans()


@st.composite
def metadata(draw: st.DrawFn, namespace: str, name: str) -> ObjectMeta:
    return ObjectMeta(name=name, namespace=namespace, creation_timestamp=draw(TIMES))


@st.composite
def services(draw: st.DrawFn, namespace: str, name: str) -> Service:
    numbers = sorted(draw(st.sets(PORTS, min_size=1)))
    ports = tuple(
        ServicePort(
            name=f"p{number}",
            port=number,
            protocol=draw(st.sampled_from(Protocol)),
            app_protocol=draw(st.sampled_from((None, "http", "redis", "kubernetes.io/h2c"))),
        )
        for number in numbers
    )
    headless = draw(maybe)
    spec = ServiceSpec(
        ports=ports,
        type=ServiceType.CLUSTER_IP if headless else draw(st.sampled_from(ServiceType)),
        cluster_ip="None" if headless else None,
        external_name="example.com",
    )
    return Service(api_version="v1", kind="Service", metadata=draw(metadata(namespace, name)), spec=spec)


@st.composite
def backend_refs(draw: st.DrawFn) -> HTTPBackendRef:
    return HTTPBackendRef(
        name=draw(st.sampled_from((*NAMES, "missing"))),
        namespace=draw(st.none() | NAMESPACES),
        port=draw(st.none() | PORTS),
        kind=draw(st.sampled_from(("Service", "Service", "Bucket"))),
        weight=draw(st.integers(0, 2)),
    )


@st.composite
def routes(draw: st.DrawFn, namespace: str, name: str) -> HTTPRoute:
    parents = draw(st.lists(parent_refs(), max_size=3))
    hostnames = draw(st.lists(HOSTNAMES.filter(bool), max_size=2))
    rules = tuple(
        HTTPRouteRule(
            name=draw(st.sampled_from((None, f"rule-{number}", "0"))) if number else None,
            backend_refs=tuple(draw(st.lists(backend_refs(), max_size=2))),
            filters=tuple(
                HTTPRouteFilter(type=FilterType.REQUEST_MIRROR, request_mirror=HTTPRequestMirrorFilter(backend_ref=ref))
                for ref in draw(st.lists(backend_refs(), max_size=1))
            ),
        )
        for number in range(draw(st.integers(1, 2)))
    )
    spec = HTTPRouteSpec(parent_refs=tuple(parents), hostnames=tuple(filter(None, hostnames)), rules=rules)
    meta = draw(metadata(namespace, name))
    return HTTPRoute(api_version=f"{GATEWAY_GROUP}/v1", kind="HTTPRoute", metadata=meta, spec=spec)


@st.composite
def parent_refs(draw: st.DrawFn) -> ParentReference:
    of_service = draw(maybe)
    return ParentReference(
        group="" if of_service else GATEWAY_GROUP,
        kind="Service" if of_service else "Gateway",
        name=draw(st.sampled_from((*NAMES, "missing"))),
        namespace=draw(st.none() | NAMESPACES),
        port=draw(st.none() | PORTS),
        section_name=draw(st.sampled_from((None, None, "l0", "p80"))),
    )


@st.composite
def gateways(draw: st.DrawFn, namespace: str, name: str) -> Gateway:
    listeners = tuple(
        GatewayListener(
            name=f"l{number}",
            port=draw(PORTS),
            protocol=draw(st.sampled_from((ListenerProtocol.HTTP, ListenerProtocol.HTTP, ListenerProtocol.HTTPS))),
            hostname=draw(HOSTNAMES),
            allowed_routes=AllowedRoutes(namespaces=RouteNamespaces(from_=draw(st.sampled_from(FromNamespaces)))),
        )
        for number in range(draw(st.integers(1, 3)))
    )
    meta = draw(metadata(namespace, name))
    spec = GatewaySpec(listeners=listeners)
    return Gateway(api_version=f"{GATEWAY_GROUP}/v1", kind="Gateway", metadata=meta, spec=spec)


@st.composite
def ingresses(draw: st.DrawFn, namespace: str, name: str) -> Ingress:
    service = IngressServiceBackend(
        name=draw(st.sampled_from((*NAMES, "missing"))), port=ServiceBackendPort(number=draw(PORTS))
    )
    backend = IngressBackend(service=service)
    paths = (HTTPIngressPath(path="/x", path_type=PathType.PREFIX, backend=backend),)
    rules = tuple(
        IngressRule(host=draw(HOSTNAMES), http=HTTPIngressRuleValue(paths=paths))
        for _ in range(draw(st.integers(0, 2)))
    )
    tls = tuple(
        IngressTLS(
            hosts=tuple(filter(None, draw(st.lists(HOSTNAMES, max_size=2)))), secret_name=draw(st.none() | SECRETS)
        )
        for _ in range(draw(st.integers(0, 2)))
    )
    spec = IngressSpec(
        tls=tls,
        ingress_class_name=draw(st.sampled_from((None, "meshproxy", "nginx"))),
        default_backend=backend if draw(maybe) else None,
        rules=rules,
    )
    meta = draw(metadata(namespace, name))
    return Ingress(api_version="networking.k8s.io/v1", kind="Ingress", metadata=meta, spec=spec)


GRANT = ReferenceGrant(
    api_version=f"{GATEWAY_GROUP}/v1beta1",
    kind="ReferenceGrant",
    metadata=ObjectMeta(name="g", namespace="shop"),
    spec=ReferenceGrantSpec(
        from_=(ReferenceGrantFrom(group=GATEWAY_GROUP, kind="HTTPRoute", namespace="default"),),
        to=(ReferenceGrantTo(kind="Service", name="a"),),
    ),
)


@st.composite
def configurations(draw: st.DrawFn) -> list[Resource]:
    resources: list[Resource] = [GRANT] if draw(maybe) else []
    for namespace in ("default", "shop"):
        for name in NAMES:
            kinds = (services, routes, gateways, ingresses)
            resources.extend(draw(make(namespace, name)) for make in kinds if draw(maybe))
    address = draw(st.sampled_from(("0.0.0.0:80", "127.0.0.1:8080")))
    spec = ProxySpec(ingress=IngressListener(address=address))
    meta = ObjectMeta(name="p", namespace=draw(NAMESPACES))
    resources.append(Proxy(api_version="meshproxy.dev/v1", kind="Proxy", metadata=meta, spec=spec))
    return resources


@settings(max_examples=300)
@given(configurations(), st.randoms(use_true_random=False))
def test_consistent_and_independent_of_order(resources: list[Resource], random: object) -> None:
    compiled = compile_resources(resources)
    if not errors_in(compiled.findings):
        check_consistency(compiled.snapshot)
    shuffled = list(resources)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = compile_resources(shuffled)
    assert msgspec.msgpack.encode(again.snapshot) == msgspec.msgpack.encode(compiled.snapshot)
    assert again.findings == compiled.findings


@settings(max_examples=100)
@given(st.tuples(*(ingresses(namespace, name) for namespace in ("default", "shop") for name in NAMES)))
def test_requests_by_tls_meet_the_rules_that_plain_ones_meet(resources: tuple[Ingress, ...]) -> None:
    """A default certificate has every server name served, so that nothing but what serves it differs."""
    certificate = CertificateSource(certificate="a.pem", key="a.key")
    spec = ProxySpec(ingress=IngressListener(default_certificate=certificate, https_redirect=False))
    proxy = Proxy(api_version="meshproxy.dev/v1", kind="Proxy", metadata=ObjectMeta(name="p"), spec=spec)
    snapshot = compile_resources([proxy, *resources]).snapshot
    routers = [fill(table) for table in snapshot.route_tables]
    assert [table.name for table in snapshot.route_tables] in ([], ["0.0.0.0:443", "0.0.0.0:80"])
    for host in ("a.example", "b.example", "x.a.example", "y.a.example", "z.y.a.example", "example", "other"):
        for path in ("/x", "/"):
            met = [winner(router, make_request(path, host)) or "" for router in routers]
            assert len({name.partition("@")[0] for name in met}) <= 1, (host, path)


@settings(max_examples=100)
@given(configurations())
def test_tables_are_used_and_sorted_and_backends_lead_somewhere_or_say_why(resources: list[Resource]) -> None:
    snapshot = compile_resources(resources).snapshot
    names = [table.name for table in snapshot.route_tables]
    assert names == sorted(set(names))
    assert {listener.routes for listener in snapshot.listeners} - {""} == set(names)
    for table in snapshot.route_tables:
        check_backends(table)


def check_backends(table: RouteTable) -> None:
    for host in table.virtual_hosts:
        for rule in host.rules:
            for backend in rule.backends:
                assert bool(backend.cluster) != bool(backend.problem)
                assert backend.label


def test_a_thousand_routes_change_the_version_when_one_does() -> None:
    def route(number: int, path: str) -> HTTPRoute:
        parent = ParentReference(group="", kind="Service", name="a")
        rule = HTTPRouteRule(name=path, backend_refs=(HTTPBackendRef(name="a", port=80),))
        return HTTPRoute(
            api_version=f"{GATEWAY_GROUP}/v1",
            kind="HTTPRoute",
            metadata=ObjectMeta(name=f"r{number}"),
            spec=HTTPRouteSpec(parent_refs=(parent,), rules=(rule,)),
        )

    service = Service(
        api_version="v1",
        kind="Service",
        metadata=ObjectMeta(name="a"),
        spec=ServiceSpec(ports=(ServicePort(port=80),)),
    )
    many = [route(number, "x") for number in range(1000)]
    before = compile_resources([service, *many]).snapshot
    after = compile_resources([service, *many[:-1], route(999, "y")]).snapshot
    assert len(before.route_tables[0].virtual_hosts[0].rules) == 1000
    assert before.version != after.version
