"""What registrations say of the mesh by themselves."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from meshproxy.loader.explain import decode_special
from meshproxy.registry.consul.announcement import announced
from meshproxy.resources.proxy import ProxySpec

MESH: dict[str, Any] = {
    "identity": {"serviceAccount": "web", "consul": {}},
    "inbound": {"address": "10.0.0.7:15444", "services": [{"name": "web", "port": 8080}]},
}


def meta(account: str = "web", mesh: dict[str, Any] = MESH, **registration: Any) -> dict[str, str]:
    document = {**mesh, "register": [{"name": "web", "port": 8080, **registration}]}
    spec = msgspec.convert(document, ProxySpec, dec_hook=decode_special)
    return announced(spec.register[0], spec, account).meta


def test_a_service_behind_the_mesh_port_says_so_and_whose_it_is() -> None:
    said = {"meshproxy-mesh-port": "15444", "meshproxy-service-account": "web", "version": "1"}
    assert meta(meta={"version": "1"}) == said


def test_what_is_written_goes_first() -> None:
    written = {"meshproxy-mesh-port": "1", "meshproxy-service-account": "other"}
    assert meta(meta=written) == written
    tagged = meta(tags=["meshproxy.dev/service-account=other", "meshproxy.dev/mesh-port=1", "v1"])
    assert tagged == {}, "meta would go before the tags"


def test_an_account_that_is_not_known_yet_does_not_mean_in_clear() -> None:
    assert meta(account="") == {"meshproxy-mesh-port": "15444"}


@pytest.mark.parametrize("missing", ["identity", "inbound"])
def test_without_either_there_is_no_mesh(missing: str) -> None:
    assert meta(mesh={key: value for key, value in MESH.items() if key != missing}) == {}


def test_other_ports_are_not_behind_the_mesh_port() -> None:
    assert meta(port=9090) == {}
