"""Containers as Workloads: their names, labels, addresses, ports and conditions."""

from __future__ import annotations

import pytest

from meshproxy.loader.rules import check
from meshproxy.registry.docker.containers import Container, ContainerPort, Health, Network
from meshproxy.registry.docker.networks import Reach, own_container_id, reach_from
from tests.support.docker import make_container, translate


def addresses(container: Container, *others: Container, reach: Reach | None = None) -> tuple[str, ...]:
    workload = translate(container, *others, reach=reach).workloads.get(container.name)
    return () if workload is None else (workload.spec.address, *workload.spec.addresses)


def test_a_container_without_a_word_of_ours_is_a_workload() -> None:
    said = translate(make_container("web", "app=web"))
    workload = said.workloads["web"]
    assert workload.metadata.labels == {"app": "web"}
    assert workload.spec.ports == {"tcp-8080": 8080}
    assert workload.spec.ready
    assert (said.problems, list(check(workload))) == ([], [])


def test_composes_labels_have_short_names_too() -> None:
    labels = ("com.docker.compose.project=shop", "com.docker.compose.service=web", "app/compose-project=mine")
    workload = translate(make_container("web", *labels)).workloads["web"]
    assert workload.metadata.labels["com.docker.compose.project"] == "shop"
    assert workload.metadata.labels["compose-project"] == "shop"
    assert workload.metadata.labels["compose-service"] == "web"


@pytest.mark.parametrize(
    "label", ["app=" + "x" * 64, "app=two words", "app/" + "k" * 64 + "=v", "app=\ufffd", "app!=1"]
)
def test_labels_that_no_selector_can_name_are_left_out(label: str) -> None:
    workload = translate(make_container("web", label)).workloads["web"]
    assert workload.metadata.labels == {}


def test_a_hundred_thousand_labels_do_no_harm() -> None:
    labels = tuple(f"app{number}={'v' * 40}" for number in range(100_000))
    assert translate(make_container("web", *labels)).workloads


@pytest.mark.parametrize(
    ("name", "becomes"),
    [("web_1", "web-1"), ("My.App_2", "my.app-2"), ("web..1", "web.1"), ("a-_.b", "a.b"), ("x" * 300, "x" * 200)],
)
def test_names_become_those_of_resources(name: str, becomes: str) -> None:
    said = translate(make_container(name))
    assert set(said.workloads) == {becomes}
    assert not list(check(said.workloads[becomes]))


def test_two_of_one_name_have_their_ids() -> None:
    first, second = make_container("web_1"), make_container("web-1")
    assert set(translate(first, second).workloads) == {"web-1", f"web-1-{first.id[:12]}"}


def test_a_compose_run_has_a_services_labels_and_is_none_of_it() -> None:
    said = translate(make_container("web-run-1", "service=web", "com.docker.compose.oneoff=True"))
    assert said.resources == ()


def test_a_name_of_nothing_usable_is_the_id() -> None:
    container = make_container("___")
    assert set(translate(container).workloads) == {container.id[:12]}


@pytest.mark.parametrize(
    ("state", "health", "ready"),
    [
        ("running", Health.NONE, True),
        ("running", Health.HEALTHY, True),
        ("running", Health.STARTING, False),
        ("running", Health.UNHEALTHY, False),
        ("paused", Health.HEALTHY, False),
        ("restarting", Health.NONE, False),
    ],
)
def test_who_is_ready(state: str, health: Health, ready: bool) -> None:
    assert translate(make_container("web", state=state, health=health)).workloads["web"].spec.ready is ready


def test_one_that_is_stopping_is_terminating() -> None:
    container = make_container("web")
    spec = translate(container, stopping=(container,)).workloads["web"].spec
    assert (spec.ready, spec.terminating) == (True, True)


# -- addresses --------------------------------------------------------------------------

A4, B4 = Network("a", "10.1.0.2", "fd00::2", "10.1.0.1"), Network("b", "10.2.0.2", "", "10.2.0.1")


def test_the_first_network_by_name_and_both_families() -> None:
    assert addresses(make_container("web", networks=(B4, A4))) == ("10.1.0.2", "fd00::2")


def test_the_network_that_is_asked_for() -> None:
    container = make_container("web", networks=(A4, B4))
    assert addresses(container, reach=Reach(network="b")) == ("10.2.0.2",)
    assert addresses(container, reach=Reach(network="c")) == ()
    labelled = make_container("web", "network=b", networks=(A4, B4))
    assert addresses(labelled, reach=Reach(network="a")) == ("10.2.0.2",)


def test_a_network_that_this_proxy_is_in_goes_before_others() -> None:
    assert addresses(make_container("web", networks=(A4, B4)), reach=Reach(own=frozenset({"b"}))) == ("10.2.0.2",)


def test_a_network_without_an_address_is_passed_over() -> None:
    container = make_container("web", networks=(Network("a", "", ""), B4))
    assert addresses(container) == ("10.2.0.2",)


def test_the_hosts_network_is_at_the_host() -> None:
    container = make_container("web", network_mode="host", networks=(Network("host", "", ""),))
    assert addresses(container, reach=Reach(host="192.0.2.1")) == ("192.0.2.1",)


def test_another_containers_network_has_that_ones_address() -> None:
    web = make_container("web", networks=(A4,))
    sidecar = make_container("sidecar", network_mode=f"container:{web.id}", networks=())
    assert addresses(sidecar, web) == ("10.1.0.2", "fd00::2")
    assert addresses(sidecar) == ()


def test_containers_that_lean_on_each_other_have_none() -> None:
    first = make_container("a", id="a" * 64, network_mode="container:" + "b" * 64, networks=())
    second = make_container("b", id="b" * 64, network_mode="container:" + "a" * 64, networks=())
    assert addresses(first, second) == ()


def test_one_without_an_address_is_worth_a_word_where_it_is_in_a_service() -> None:
    said = translate(make_container("quiet", networks=()), make_container("web", "service=web", networks=()))
    assert said.workloads == {}
    assert said.problems == [
        "Container/web: warning: has no address in a network that is looked at, and is left out; its networks: none"
    ]


def test_one_that_this_proxy_shares_no_network_with_is_worth_a_word() -> None:
    said = translate(make_container("web", "service=web", networks=(A4,)), reach=Reach(own=frozenset({"b"})))
    assert said.problems == [
        "Container/web: warning: shares no network with this proxy, and may not be reached: it is in a, the proxy in b"
    ]
    assert said.names_of("web") == {"web"}


def test_published_ports_are_at_the_host() -> None:
    ports = (ContainerPort(8080, 32768, "0.0.0.0", "tcp"), ContainerPort(9090, 0, "", "tcp"))
    reach = Reach(host="192.0.2.1", published=True)
    said = translate(make_container("web", "service=web", "port=8080", ports=ports), reach=reach)
    assert said.workloads["web"].spec.address == "192.0.2.1"
    assert said.workloads["web"].spec.ports["main"] == 32768
    said = translate(make_container("web", "service=web", "port=9090", ports=ports), reach=reach)
    assert said.services == {}
    assert "port 9090 is not published" in said.problems[0]


def test_how_this_process_reaches_containers() -> None:
    me = make_container("me", networks=(A4, B4))
    options = {"network": "", "host": "", "published": False}
    inside = reach_from([me], me.id, **options)  # type: ignore[arg-type]
    assert (inside.own, inside.host) == (frozenset({"a", "b"}), "10.1.0.1")
    outside = reach_from([me], "", **options)  # type: ignore[arg-type]
    assert (outside.own, outside.host) == (frozenset(), "127.0.0.1")


def test_the_container_that_this_process_is_in() -> None:
    mounts = f"1 2 0:1 /var/lib/docker/containers/{'a' * 64}/resolv.conf /etc/resolv.conf rw - ext4 /dev/sda rw"
    assert own_container_id(mounts, "web") == "a" * 64
    assert own_container_id("", "0123456789ab") == "0123456789ab"
    assert own_container_id("", "laptop") == ""
