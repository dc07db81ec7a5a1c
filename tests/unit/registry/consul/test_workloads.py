"""What instances of Consul's catalogue become."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.loader.rules import check
from meshproxy.loader.rules.values import dns_label, dns_subdomain
from meshproxy.registry.consul.entries import Instance
from meshproxy.registry.consul.workloads import Found, convert, resource_name
from meshproxy.resources import Service, Workload
from meshproxy.resources.sources import ConsulImport, ConsulSource, ServicesWithTag

ALL = ConsulSource(import_=ConsulImport(services="all"))


def instance(id: str = "web-1", *, status: str = "passing", node: str = "n1", **service: Any) -> Instance:  # noqa: A002
    """As ``/v1/health/service/web`` has it."""
    document = {
        "Node": {"Node": node, "Address": "10.0.0.9", "Meta": {"zone": "b"}},
        "Service": {"ID": id, "Service": "web", "Port": 8080, "Address": "10.0.0.1", **service},
        "Checks": [{"Node": node, "CheckID": "c", "Status": status, "ServiceID": id}],
    }
    return msgspec.convert(document, Instance)


def one(found: Found) -> Workload:
    assert [str(finding) for finding in found.findings] == []
    (workload,) = found.workloads
    return workload


def service(*instances: Instance, spec: ConsulSource = ALL) -> Service:
    found = convert("web", instances, spec)
    assert found.service is not None
    assert list(check(found.service)) == []
    return found.service


def test_an_instance_is_a_workload() -> None:
    workload = one(convert("web", [instance(Tags=["v1", "tier=front"], Meta={"version": "1"})], ConsulSource()))
    assert list(check(workload)) == []
    assert workload.metadata.name == "web-1.n1"
    assert workload.metadata.labels == {
        "app": "web",
        "tag.meshproxy.dev/v1": "true",
        "tier": "front",
        "version": "1",
        "meshproxy.dev/consul-service": "web",
    }
    spec = workload.spec
    assert (spec.address, spec.ports, spec.zone, spec.node_name) == ("10.0.0.1", {"default": 8080}, "b", "n1")
    assert (spec.weight, spec.ready, spec.terminating) == (100, True, False)


def test_the_nodes_address_counts_where_the_service_has_none() -> None:
    assert one(convert("web", [instance(Address="")], ALL)).spec.address == "10.0.0.9"


@pytest.mark.parametrize(("status", "ready"), [("passing", True), ("warning", True), ("critical", False), ("?", False)])
def test_checks_are_conditions(status: str, ready: bool) -> None:
    assert one(convert("web", [instance(status=status)], ALL)).spec.ready is ready


def test_maintenance_is_terminating_though_serving() -> None:
    held = instance()
    document = msgspec.to_builtins(held)
    document["Checks"] += ({"CheckID": "_service_maintenance:web-1", "Status": "critical"},)
    spec = one(convert("web", [msgspec.convert(document, Instance)], ALL)).spec
    assert (spec.ready, spec.terminating) == (True, True)


def test_weights_are_a_hundredfold_and_a_warning_has_its_own() -> None:
    weights = {"Passing": 3, "Warning": 1}
    assert one(convert("web", [instance(Weights=weights)], ALL)).spec.weight == 300
    assert one(convert("web", [instance(Weights=weights, status="warning")], ALL)).spec.weight == 100
    large = [instance("a", Weights={"Passing": 1000, "Warning": 1}), instance("b", Weights={"Passing": 10})]
    assert [each.spec.weight for each in convert("web", large, ALL).workloads] == [1000, 10]


def test_instructions_come_as_meta_and_as_tags() -> None:
    meta = {"meshproxy-weight": "7", "meshproxy-zone": "a", "meshproxy-service-account": "web"}
    found = instance(Meta=meta, Tags=["meshproxy.dev/weight=9", "meshproxy.dev/port-name=http"])
    workload = one(convert("web", [found], ALL))
    spec = workload.spec
    assert (spec.weight, spec.zone, spec.service_account) == (7, "a", "web")
    assert spec.ports == {"default": 8080, "http": 8080}
    assert set(workload.metadata.labels) == {"app", "meshproxy.dev/consul-service"}, "they are no labels"


def test_an_instance_may_be_in_the_mesh() -> None:
    spec = one(convert("web", [instance(Meta={"meshproxy-mesh-port": "15443"})], ALL)).spec
    assert spec.mesh is not None
    assert spec.mesh.port == 15443


def test_an_address_may_be_a_name() -> None:
    tagged = {"lan_ipv6": {"Address": "fd00::1", "Port": 1}}
    spec = one(convert("web", [instance(Address="db.example", TaggedAddresses=tagged)], ALL)).spec
    assert (spec.address, spec.addresses) == ("db.example", ())


def test_the_other_ip_family_is_a_further_address() -> None:
    tagged = {"lan_ipv4": {"Address": "10.0.0.1", "Port": 1}, "lan_ipv6": {"Address": "fd00::1", "Port": 1}}
    spec = one(convert("web", [instance(TaggedAddresses=tagged)], ALL)).spec
    assert (spec.address, spec.addresses) == ("10.0.0.1", ("fd00::1",))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"Port": 70000}, "70000 is no port"),
        ({"Port": -1}, "-1 is no port"),
        ({"Address": "0.0.0.0"}, "is not the address of one machine"),
        ({"Meta": {"meshproxy-weight": "many"}}, "weight 'many' is none"),
        ({"Weights": {"Passing": 70000}}, "weight 70000 is out of range"),
        ({"Address": "no name"}, "is neither an IP address nor a host name"),
        ({"Meta": {"meshproxy-mesh-port": "x"}}, "mesh-port 'x' is no port"),
        ({"Meta": {"meshproxy-mesh-port": "0"}}, "mesh-port '0' is no port"),
        ({"Meta": {"meshproxy-service-account": "a b"}}, "service-account 'a b' is no name"),
    ],
)
def test_an_instance_that_cannot_be_is_left_out_and_said(fields: dict[str, Any], said: str) -> None:
    found = convert("web", [instance("bad", **fields), instance("good")], ALL)
    assert [each.metadata.name for each in found.workloads] == ["good.n1"]
    (finding,) = found.findings
    assert said in finding.message
    assert finding.resource == "consul/bad.n1"


def test_a_thousand_bad_ones_are_said_in_short() -> None:
    found = convert("web", [instance(f"bad-{number}", Port=-1) for number in range(1000)], ALL)
    assert len(found.findings) == 21
    assert found.findings[-1].message == "and 980 more of the kind"


def test_what_is_no_label_is_none() -> None:
    meta = {"description": "with spaces", "huge": "x" * 512, "fine": "yes"}
    workload = one(convert("web", [instance(Meta=meta, Tags=["", "=", "x" * 100, "a b=c"])], ALL))
    assert set(workload.metadata.labels) == {"app", "fine", "meshproxy.dev/consul-service"}


def test_tags_choose_instances() -> None:
    spec = ConsulSource(tags=("v1", "eu"))
    found = convert("web", [instance("a", Tags=["v1"]), instance("b", Tags=["eu", "v1"]), instance("c")], spec)
    assert [each.metadata.name for each in found.workloads] == ["b.n1"]


def test_sidecars_and_gateways_are_passed_over() -> None:
    assert convert("web-proxy", [instance(Kind="connect-proxy")], ALL).workloads == ()


def test_a_service_listens_on_its_instances_port_and_selects_them() -> None:
    found = service(instance("a"), instance("b", Port=8081), instance("c", Port=8081))
    (port,) = found.spec.ports
    assert (port.port, port.target_port, port.app_protocol) == (8081, "default", None)
    assert found.spec.selector == {"meshproxy.dev/consul-service": "web"}


def test_import_port_and_meta_say_another_port() -> None:
    spec = ConsulSource(import_=ConsulImport(services=("web",), port=80))
    assert service(instance(), spec=spec).spec.ports[0].port == 80
    told = instance(Meta={"meshproxy-port": "8000", "meshproxy-protocol": "http"})
    (port,) = service(told, spec=spec).spec.ports
    assert (port.port, port.app_protocol) == (8000, "http")


@pytest.mark.parametrize(
    ("services", "imported"),
    [("all", True), (("web",), True), (("other",), False), ((), False), (ServicesWithTag(tag="v1"), True)],
)
def test_import_chooses_services(services: Any, imported: bool) -> None:
    spec = ConsulSource(import_=ConsulImport(services=services))
    assert (convert("web", [instance(Tags=["v1"])], spec).service is not None) is imported


def test_instances_that_contradict_each_other_are_a_finding() -> None:
    told = [instance(f"i{number}", Meta={"meshproxy-port": port}) for number, port in enumerate(("80", "81", "81"))]
    found = convert("web", told, ALL)
    assert found.service is not None
    assert found.service.spec.ports[0].port == 81
    assert "instances differ on port: '81' is used, not '80'" in found.findings[0].message


@pytest.mark.parametrize("port", ["0", "65536", "x", "٣", "9" * 5000])
def test_a_port_that_is_none_is_said(port: str) -> None:
    found = convert("web", [instance(Meta={"meshproxy-port": port})], ALL)
    assert found.service is not None
    assert found.service.spec.ports[0].port == 8080
    assert "is none; the instances' own is used" in found.findings[0].message


def test_without_any_port_there_is_no_service() -> None:
    found = convert("web", [instance(Port=0)], ALL)
    assert found.service is None
    assert found.workloads[0].spec.ports == {}
    assert "no instance has a port" in found.findings[0].message


def test_what_did_not_change_is_the_same_object() -> None:
    before = convert("web", [instance("a"), instance("b")], ALL)
    after = convert("web", [instance("a"), instance("b", Tags=["new"])], ALL, before)
    assert after.workloads[0] is before.workloads[0]
    assert after.workloads[1] is not before.workloads[1]
    assert after.service is before.service


def test_names_that_differ_stay_apart() -> None:
    names = ["web", "WEB", "we_b", "we-b", "we..b", "wéb", "", "é", "a" * 300, "a" * 299 + "b", ".", "-"]
    for label in (True, False):
        made = [resource_name(name, label=label) for name in names]
        assert len(set(made)) == len(made)
    assert resource_name("web") == "web"
    assert resource_name("my.web", label=True).startswith("my-web-")


@given(st.text(max_size=400), st.booleans())
def test_every_name_is_valid(text: str, label: bool) -> None:
    name = resource_name(text, label=label)
    assert (dns_label(name) if label else dns_subdomain(name)) is None


@given(
    st.text(max_size=80),
    st.integers(-10, 80000),
    st.lists(st.text(max_size=100), max_size=4),
    st.dictionaries(st.text(max_size=70), st.text(max_size=100), max_size=4),
)
def test_whatever_an_instance_is_the_resources_are_valid(
    id: str,  # noqa: A002
    port: int,
    tags: list[str],
    meta: dict[str, str],
) -> None:
    found = convert("wéb", [instance(id, Port=port, Tags=tags, Meta=meta)], ALL)
    for resource in (*found.workloads, *([found.service] if found.service else [])):
        assert list(check(resource)) == []
