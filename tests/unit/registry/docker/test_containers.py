"""What an engine answers: whatever it is, a list of containers or a sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.registry.docker.containers import ContainerPort, Health, Network, decode_listing
from tests.support.docker import listed, make_container


def decode(*items: Any) -> Any:
    return decode_listing(json.dumps(items).encode())


def test_a_container_comes_back_as_it_was() -> None:
    container = make_container(
        "web-1",
        "service=web",
        health=Health.UNHEALTHY,
        network_mode="dk_default",
        networks=(Network("a", "10.0.0.2", "fd00::2", "10.0.0.1"),),
        ports=(ContainerPort(80, 0, "", "tcp"), ContainerPort(443, 8443, "0.0.0.0", "tcp")),
    )
    assert decode(listed(container)) == ((container,), ())


@pytest.mark.parametrize(
    ("status", "health"),
    [
        ("Up 2 minutes", Health.NONE),
        ("Up 2 minutes (healthy)", Health.HEALTHY),
        ("Up 2 minutes (unhealthy)", Health.UNHEALTHY),
        ("Up Less than a second (health: starting)", Health.STARTING),
        ("Up 9 seconds (Paused)", Health.NONE),
        ("Up (healthy) 3 seconds", Health.NONE),
    ],
)
def test_health_is_at_the_end_of_the_status(status: str, health: Health) -> None:
    assert decode(listed(make_container(), status)).containers[0].health is health


def test_what_is_null_is_as_good_as_empty() -> None:
    item = {"Id": "a" * 64, "Names": None, "Labels": None, "Ports": None, "NetworkSettings": None, "HostConfig": None}
    container = decode(item).containers[0]
    assert (container.name, container.labels, container.ports, container.networks) == ("a" * 12, {}, (), ())


def test_a_links_name_is_not_the_containers() -> None:
    item = listed(make_container("db")) | {"Names": ["/web/database", "/db"]}
    assert decode(item).containers[0].name == "db"


def test_a_container_that_cannot_be_read_is_left_out_alone() -> None:
    good = make_container("good")
    listing = decode({"Id": 3}, listed(good), {"Id": "x", "Labels": {"a": 1}}, "nothing")
    assert listing.containers == (good,)
    assert len(listing.problems) == 3
    assert "container 0 of the list cannot be read and is left out" in listing.problems[0]


@pytest.mark.parametrize(
    "body", [b"", b"[", b'[{"Id": "a"', b'{"message": "no"}', b"<html>", b"\xff\xfe", b'[{"Id": "\\ud800"}]']
)
def test_what_is_no_list_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="the list of containers cannot be read"):
        decode_listing(body)


def test_bytes_that_are_no_text_are_replaced() -> None:
    body = json.dumps([listed(make_container("web", "app=NAME"))]).encode().replace(b"NAME", b"\xff\xfe")
    assert decode_listing(body).containers[0].labels == {"app": "\ufffd\ufffd"}


def test_addresses_that_no_machine_has_are_empty() -> None:
    container = make_container(networks=(Network("a", "nonsense", "::", "224.0.0.1"), Network("b", "10.0.0.1", "", "")))
    assert decode(listed(container)).containers[0].networks == (Network("a", "", "", ""), container.networks[1])


def test_ports_that_are_none_are_left_out() -> None:
    item = listed(make_container()) | {"Ports": [{"PrivatePort": 70000, "Type": "tcp"}, {"PrivatePort": 0}]}
    assert decode(item).containers[0].ports == ()


@given(st.binary(max_size=200))
def test_any_bytes_give_a_list_or_a_sentence(body: bytes) -> None:
    try:
        decode_listing(body)
    except ValueError as error:
        assert str(error)  # noqa: PT017 either is right
