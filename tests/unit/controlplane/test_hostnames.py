"""Names in resources, and addresses in their place."""

from __future__ import annotations

from meshproxy.base.addresses import is_host_name
from meshproxy.controlplane.hostnames import Answer, findings_about, names_in, with_addresses
from meshproxy.resources import EndpointSlice, ObjectMeta, Workload
from meshproxy.resources.endpoints import AddressType, SliceEndpoint
from meshproxy.resources.workload import WorkloadSpec


def make_workload(*addresses: str) -> Workload:
    return Workload(
        api_version="meshproxy.dev/v1",
        kind="Workload",
        metadata=ObjectMeta(name="w"),
        spec=WorkloadSpec(address=addresses[0], addresses=addresses[1:]),
    )


SLICE = EndpointSlice(
    api_version="discovery.k8s.io/v1",
    kind="EndpointSlice",
    metadata=ObjectMeta(name="s"),
    address_type=AddressType.FQDN,
    endpoints=(SliceEndpoint(addresses=("a.example", "b.example"), zone="z"), SliceEndpoint(addresses=("c.example",))),
)
TWO = Answer(addresses=("10.0.0.1", "fd00::1"))


def test_what_is_a_name() -> None:
    names = ["web", "web.example.com.", "my_db", "1e100.net"]
    assert [name for name in (*names, "10.0.0.1", "::1", "fd00::a", "::ffff:10.0.0.1") if is_host_name(name)] == names


def test_names_are_found_where_they_are() -> None:
    workload, plain = make_workload("a.example", "10.0.0.1", "b"), make_workload("10.0.0.2")
    found = names_in([workload, plain, SLICE])
    assert found == {"a.example": [workload, SLICE], "b": [workload], "c.example": [SLICE]}


def test_a_name_becomes_all_its_addresses() -> None:
    workload = make_workload("a.example", "10.0.0.9")
    (new,), _ = with_addresses([workload], {}, {"a.example": TWO})
    assert isinstance(new, Workload)
    assert (new.spec.address, *new.spec.addresses) == ("10.0.0.1", "fd00::1", "10.0.0.9")


def test_two_names_of_one_address_are_one() -> None:
    (new,), _ = with_addresses([make_workload("a", "b")], {}, {"a": TWO, "b": TWO})
    assert isinstance(new, Workload)
    assert (new.spec.address, *new.spec.addresses) == TWO.addresses


def test_a_slice_has_an_endpoint_for_each_address() -> None:
    (new,), _ = with_addresses([SLICE], {}, {"a.example": TWO})
    assert isinstance(new, EndpointSlice)
    written = [(endpoint.addresses, endpoint.zone) for endpoint in new.endpoints]
    assert written == [(("10.0.0.1",), "z"), (("fd00::1",), "z"), (("c.example",), None)]


def test_what_has_no_names_is_the_same_object_and_sources_follow() -> None:
    plain, named = make_workload("10.0.0.1"), make_workload("a")
    sources = {id(plain): "files", id(named): "docker"}
    new, now = with_addresses([plain, named], sources, {"a": TWO})
    assert new[0] is plain
    assert [now[id(each)] for each in new] == ["files", "docker"]


def test_what_cannot_be_resolved_is_said_at_its_place() -> None:
    workload = make_workload("a.example")
    names = names_in([workload, SLICE])
    answers = {
        "a.example": Answer(addresses=("10.0.0.1",), problem="no answer"),
        "c.example": Answer(problem="NXDOMAIN"),
    }
    assert [str(finding) for finding in findings_about(names, answers)] == [
        "Workload/w: spec.address: warning: a.example cannot be resolved: no answer; "
        "its last addresses stay in use: 10.0.0.1",
        "EndpointSlice/s: endpoints: warning: a.example cannot be resolved: no answer; "
        "its last addresses stay in use: 10.0.0.1",
        "EndpointSlice/s: endpoints: warning: c.example cannot be resolved: NXDOMAIN; nothing is sent",
    ]
