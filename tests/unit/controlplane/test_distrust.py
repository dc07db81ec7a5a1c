"""What is not believed at once, and when it is."""

from __future__ import annotations

from meshproxy.controlplane.distrust import Distrust
from meshproxy.resources import ObjectMeta, Service, Workload
from meshproxy.resources.meta import Resource
from meshproxy.resources.service import ServiceSpec
from meshproxy.resources.workload import WorkloadSpec


def workload(name: str, app: str, **labels: str) -> Workload:
    return Workload(
        api_version="meshproxy.dev/v1",
        kind="Workload",
        metadata=ObjectMeta(name=name, labels={"app": app, **labels}),
        spec=WorkloadSpec(address="10.0.0.1"),
    )


def service(name: str, **selector: str) -> Service:
    return Service(
        api_version="v1", kind="Service", metadata=ObjectMeta(name=name), spec=ServiceSpec(selector=selector)
    )


A, B = service("a", app="a"), service("b", app="b")
A1, A2, B1 = workload("a1", "a"), workload("a2", "a"), workload("b1", "b")


def names(resources: tuple[Resource, ...]) -> list[str]:
    return sorted(resource.metadata.name for resource in resources)


def make(*resources: Resource, services: tuple[Service, ...] = (A, B)) -> Distrust:
    distrust = Distrust(10)
    distrust.offer(resources, services, 0)
    return distrust


def test_what_leaves_an_endpoint_is_taken_at_once() -> None:
    distrust = make(A1, A2, B1)
    assert names(distrust.offer((A1, B1), (A, B), 1)) == ["a1", "b1"]
    assert (distrust.held, distrust.due) == (0, None)


def test_the_last_endpoint_of_a_service_is_held_until_it_is_confirmed() -> None:
    distrust = make(A1, A2, B1)
    assert names(distrust.offer((A1, A2), (A, B), 1)) == ["a1", "a2", "b1"]
    assert (distrust.held, distrust.due) == (1, 11)
    assert names(distrust.offer((A1,), (A, B), 5)) == ["a1", "b1"], "other changes are taken at once"
    assert names(distrust.confirm(10.9)) == ["a1", "b1"]
    assert names(distrust.confirm(11)) == ["a1"]
    assert (distrust.held, distrust.due) == (0, None)


def test_what_comes_back_is_no_longer_held() -> None:
    distrust = make(A1, B1)
    distrust.offer((A1,), (A, B), 1)
    back = workload("b1", "b", version="2")
    in_force = distrust.offer((A1, back), (A, B), 2)
    assert in_force == (A1, back)
    assert distrust.held == 0


def test_a_successor_lets_the_predecessor_go() -> None:
    distrust = make(A1, B1)
    distrust.offer((A1,), (A, B), 1)
    assert names(distrust.offer((A1, workload("b2", "b")), (A, B), 2)) == ["a1", "b2"]


def test_an_object_that_was_made_anew_is_not_lost() -> None:
    distrust = make(A1, B1)
    assert names(distrust.offer((A1, workload("b1", "b", x="y")), (A, B), 1)) == ["a1", "b1"]
    assert distrust.held == 0


def test_everything_gone_is_held_though_no_service_selects_it() -> None:
    distrust = make(A1, B1, services=())
    assert names(distrust.offer((), (), 1)) == ["a1", "b1"]
    assert distrust.confirm(11) == ()


def test_every_workload_gone_holds_the_services_that_went_with_them() -> None:
    distrust = make(A, A1, B, services=())
    assert names(distrust.offer((B,), (), 1)) == ["a", "a1", "b"]


def test_a_service_of_the_source_is_held_with_its_endpoints() -> None:
    distrust = make(A, A1, B, B1, services=())
    assert names(distrust.offer((A, A1), (), 1)) == ["a", "a1", "b", "b1"]
    assert names(distrust.confirm(11)) == ["a", "a1"]


def test_trouble_postpones_what_waits() -> None:
    distrust = make(A1)
    distrust.offer((), (A,), 1)
    distrust.doubt(8)
    assert distrust.due == 18
    assert names(distrust.confirm(12)) == ["a1"]
    assert distrust.confirm(18) == ()


def test_each_removal_waits_for_itself() -> None:
    distrust = make(A1, B1, workload("c1", "c"))
    distrust.offer((A1, workload("c1", "c")), (A, B), 1)
    distrust.offer((workload("c1", "c"),), (A, B), 6)
    assert names(distrust.confirm(11)) == ["a1", "c1"]
    assert names(distrust.confirm(16)) == ["c1"]


def test_other_namespaces_do_not_count() -> None:
    elsewhere = service("a", app="a")
    elsewhere = Service(
        api_version="v1", kind="Service", metadata=ObjectMeta(name="a", namespace="other"), spec=elsewhere.spec
    )
    distrust = make(A1, B1, services=(elsewhere,))
    assert names(distrust.offer((B1,), (elsewhere,), 1)) == ["b1"]


def test_zero_believes_everything() -> None:
    distrust = Distrust(0)
    distrust.offer((A1,), (A,), 0)
    assert distrust.offer((), (A,), 1) == ()
    assert distrust.held == 0


def test_what_was_seen_to_end_is_not_doubted() -> None:
    distrust = make(A1, A2, B1)
    assert names(distrust.offer((A1, A2), (A, B), 1, ended=[B1.key])) == ["a1", "a2"]
    assert names(distrust.offer((), (A, B), 2, ended=[A1.key])) == ["a2"], "the other is only missing"


def test_what_the_last_workload_had_for_itself_goes_with_it() -> None:
    distrust = make(A1, A)
    assert distrust.offer((), (), 1, ended=[A1.key]) == ()
    assert distrust.held == 0
