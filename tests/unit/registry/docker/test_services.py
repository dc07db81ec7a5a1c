"""Labels → Services, policies and what is wrong: one container, then several that have to agree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.base.durations import Duration
from meshproxy.compiler.compile import compile_resources
from meshproxy.loader.rules import check
from meshproxy.registry.docker.containers import ContainerPort
from meshproxy.resources.policy import Algorithm
from meshproxy.resources.service import Protocol, ServicePort
from meshproxy.resources.workload import WorkloadMesh
from tests.support.docker import Said, make_container, translate

TCP = ContainerPort(8080, 0, "", "tcp")


def ports(said: Said, service: str = "web") -> list[tuple[str, int, str | int | None]]:
    return [(port.name, port.port, port.target_port) for port in said.service(service).spec.ports]


def test_one_label_is_enough_where_one_port_is_exposed() -> None:
    said = translate(make_container("web-1", "service=web"))
    assert said.problems == []
    assert ports(said) == [("", 8080, "main")]
    assert said.names_of("web") == {"web-1"}
    assert said.workloads["web-1"].spec.ports["main"] == 8080
    assert (said.routes, said.policies) == ({}, {})


def test_everything_made_is_what_a_file_could_hold() -> None:
    said = translate(
        make_container("a", "service=web", "health.path=/h", "algorithm=mh", "host=a.example", "gateway=edge"),
        make_container("b", "service=web", "canary-weight=20", "path=/x,/y", "port.metrics=9100"),
    )
    assert said.problems == []
    assert not [finding for resource in said.resources for finding in check(resource)]
    assert compile_resources(said.resources).snapshot.services


def test_the_services_port_is_its_own() -> None:
    said = translate(make_container("web-1", "service=web", "port=9000", "service-port=80"))
    assert ports(said) == [("", 80, "main")]
    assert said.workloads["web-1"].spec.ports["main"] == 9000


def test_further_ports_have_names() -> None:
    labels = ("service=web", "port=8080", "service-port=80", "port.metrics=9100", "protocol.metrics=http")
    said = translate(make_container("web-1", *labels))
    assert ports(said) == [("main", 80, "main"), ("metrics", 9100, "metrics")]
    assert said.service("web").spec.ports[1].app_protocol == "http"


@pytest.mark.parametrize(
    ("label", "port"),
    [
        ("http", ServicePort(port=8080, target_port="main", app_protocol="http")),
        ("tcp", ServicePort(port=8080, target_port="main", app_protocol="tcp")),
        ("udp", ServicePort(port=53, target_port="main", protocol=Protocol.UDP)),
    ],
)
def test_protocols(label: str, port: ServicePort) -> None:
    exposed = (TCP, ContainerPort(53, 0, "", "udp"))
    said = translate(make_container("web-1", "service=web", f"protocol={label}", ports=exposed))
    assert said.service("web").spec.ports == (port,)


def test_containers_may_listen_on_different_ports() -> None:
    said = translate(
        make_container("a", "service=web", "port=1000", "service-port=80"),
        make_container("b", "service=web", "port=2000", "service-port=80"),
    )
    assert said.problems == []
    assert {name: each.spec.ports["main"] for name, each in said.workloads.items()} == {"a": 1000, "b": 2000}


def test_what_a_workload_says_of_itself() -> None:
    labels = ("service=web", "weight=5", "zone=a", "service-account=web", "mesh-port=15443", "namespace=shop")
    said = translate(make_container("web-1", *labels))
    spec = said.workloads["web-1"].spec
    assert (spec.weight, spec.zone, spec.service_account) == (5, "a", "web")
    assert spec.mesh == WorkloadMesh(port=15443)
    assert said.service("web", "shop").metadata.namespace == "shop"


def test_health_checks_and_the_algorithm_are_a_policy_for_all_variants() -> None:
    said = translate(
        make_container("a", "service=web", "health.path=/h", "health.interval=2s", "health.unhealthy-threshold=5"),
        make_container("b", "service=web", "canary-weight=1", "algorithm=LeastRequest"),
    )
    spec = said.policies["web"].spec
    check = spec.health_check
    assert [ref.name for ref in spec.target_refs] == ["web", "web-canary"]
    assert spec.load_balancing.algorithm is Algorithm.LEAST_REQUEST
    assert check is not None
    assert check.http is not None
    assert (check.http.path, check.unhealthy_threshold) == ("/h", 5)
    assert check.interval == Duration(2)


def test_checks_by_connecting() -> None:
    check = translate(make_container("a", "service=web", "health.tcp=true")).policies["web"].spec.health_check
    assert check is not None
    assert check.tcp is not None


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (("service=Web!",), "label meshproxy.dev/service: warning: 'Web!' is no DNS label"),
        (("port=80",), "label meshproxy.dev/port: warning: does nothing without meshproxy.dev/service"),
        (("service=web", "port=eighty"), "label meshproxy.dev/port: warning: 'eighty' is not a whole number"),
        (("service=web", "port=0"), "label meshproxy.dev/port: warning: 0 is out of range"),
        (("service=web", "port=" + "9" * 5000), "has 5000 characters"),
        (("service=web", "weight=-1"), "'-1' is not a whole number from 0 to 65535"),
        (("service=web", "canary-wieght=3"), "canary-wieght: warning: is unknown (did you mean canary-weight?)"),
        (("service=web", "canary-weight=101"), "'101' is no percentage; write a whole number from 0 to 100"),
        (("service=web", "mirror=maybe"), "'maybe' is no percentage; write a whole number from 0 to 100, or true"),
        (("service=web", "mirror=5", "canary-weight=5"), "does not go with canary-weight"),
        (("service=web", "path=api"), "label meshproxy.dev/path: warning: 'api' must begin with /"),
        (("service=web", "path=~["), "label meshproxy.dev/path: warning: "),
        (("service=web", "method=FETCH"), "'FETCH' is none of GET, HEAD"),
        (("service=web", "header.bad name=x"), "label meshproxy.dev/header.bad name: warning: 'bad name' is no name"),
        (("service=web", "header.x="), "label meshproxy.dev/header.x: warning: must not be empty"),
        (("service=web", "cookie.a=;"), "is no cookie's value"),
        (("service=web", "header.x=1", "header.X=2"), "label meshproxy.dev/header.X: warning: 'x' is here twice"),
        (("service=web", *(f"query.q{number}=1" for number in range(17))), "has 17 items; 16 are the most"),
        (("service=web", "path=" + "/a," * 1000, "method=" + "GET," * 900 + "PUT"), "must begin with /"),
        (("service=web", "match.a.port=1"), "label meshproxy.dev/match.a.port: warning: is unknown"),
        (("service=web", "host=a.example, 10.0.0.1"), "10.0.0.1 is an IP address"),
        (("service=web", "protocol=a b"), "'a b' is no protocol's name"),
        (("service=web", "port.Metrics!=1"), "is no port name"),
        (("service=web", "algorithm=RoundRobbin"), "(did you mean RoundRobin?)"),
        (("service=web", "gateway=Edge"), "'Edge' is no DNS name"),
    ],
)
def test_a_label_that_is_wrong_keeps_its_container_out_of_the_service(labels: tuple[str, ...], problem: str) -> None:
    said = translate(make_container("bad", *labels), make_container("good", "service=web"))
    assert any(problem in each for each in said.problems), said.problems
    assert all(each.startswith("Container/bad: ") for each in said.problems)
    assert "bad" in said.workloads
    assert said.names_of("web") == {"good"}


def test_a_variant_label_does_not_bring_a_wrong_one_back() -> None:
    said = translate(make_container("bad", "service=web", "variant=stable", "x=y"), make_container("a", "service=web"))
    assert said.names_of("web") == {"a"}


def test_health_labels_that_are_wrong_check_nothing_and_say_so() -> None:
    said = translate(make_container("a", "service=web", "health.path=/h", "health.interval=often"))
    assert "Service/web: label meshproxy.dev/health: warning: is not understood" in said.problems[0]
    said = translate(make_container("a", "service=web", "health.path=h"))
    assert said.policies == {}
    assert "cannot be made of its containers' labels: 'h' is no path" in said.problems[0]
    said = translate(make_container("a", "service=web", "health.path=/h", "health.tcp=true"))
    assert "needs exactly one of tcp and http" in said.problems[0]


@pytest.mark.parametrize(
    ("exposed", "problem"),
    [((), "exposes no port"), ((TCP, ContainerPort(443, 0, "", "tcp")), "exposes several ports, 443, 8080")],
)
def test_a_port_is_needed_where_it_cannot_be_told(exposed: tuple[ContainerPort, ...], problem: str) -> None:
    said = translate(make_container("web-1", "service=web", ports=exposed))
    assert problem in said.problems[0]
    assert said.services == {}


# -- contradictions ---------------------------------------------------------------------


def test_the_newest_container_is_right() -> None:
    old = make_container("old", "service=web", "service-port=80", created=10)
    new = make_container("new", "service=web", "service-port=81", created=20)
    for order in ((old, new), (new, old)):
        said = translate(*order)
        assert ports(said) == [("", 81, "main")]
        assert said.problems == [
            "Service/web: label meshproxy.dev/service-port: warning: containers contradict each other: old says 80, "
            "and new says 81, which counts since that container is the newest"
        ]
        assert said.names_of("web") == {"old", "new"}


def test_a_container_that_is_stopping_has_no_say() -> None:
    old = make_container("old", "service=web", "service-port=80")
    new = make_container("new", "service=web", "service-port=81")
    said = translate(old, new, stopping=(new,))
    assert (ports(said), said.problems) == ([("", 80, "main")], [])


def test_ports_that_are_not_written_contradict_each_other_too() -> None:
    said = translate(make_container("a", "service=web", "port=1"), make_container("b", "service=web", "port=2"))
    assert ports(said) == [("", 2, "main")]
    assert (
        "label meshproxy.dev/port: warning: containers contradict each other: a says 1, and b says 2"
        in said.problems[0]
    )


def test_two_that_claim_a_canary_differently() -> None:
    said = translate(
        make_container("s", "service=web"),
        make_container("a", "service=web", "canary-weight=10"),
        make_container("b", "service=web", "canary-weight=30"),
    )
    assert said.shares("web") == [{"web": 7, "web-canary": 3}]
    assert "label meshproxy.dev/canary-weight: warning: containers contradict each other" in said.problems[0]


_LABEL = st.sampled_from(
    ("service", "namespace", "port", "service-port", "protocol", "port.a", "weight", "health.path", "health.port")
) | st.sampled_from(
    ("path", "method", "header.x", "match.a.path", "canary-weight", "mirror", "variant", "host", "gateway", "nonsense")
)
_VALUE = st.one_of(
    st.sampled_from(
        ["web", "80", "8080", "/", "/a", "=/a", "~/a+", "GET", "true", "tcp", "udp", "a.example", "", "rr"]
    ),
    st.text(max_size=8),
)


@given(st.lists(st.dictionaries(_LABEL, _VALUE, max_size=6), min_size=1, max_size=5))
def test_any_labels_give_resources_that_compile(containers: list[dict[str, str]]) -> None:
    made = [
        make_container(f"c{number}", *(f"{key}={value}" for key, value in labels.items()))
        for number, labels in enumerate(containers)
    ]
    said = translate(*made)
    assert set(said.workloads) == {container.name for container in made}
    assert not [finding for resource in said.resources for finding in check(resource) if finding.severity == "error"]
    assert not [each for each in compile_resources(said.resources).findings if each.severity == "error"]
