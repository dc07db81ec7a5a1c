"""Identities from a real Consul agent's Connect CA: watched, through rotations, outages, and refusals."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from meshproxy.identity.ca.certificates import new_key
from meshproxy.identity.sources.consul import ConsulIdentitySource
from meshproxy.identity.sources.consul_agent import ConsulAgent
from meshproxy.identity.sources.surroundings import Surroundings
from meshproxy.identity.svid import Wanted
from meshproxy.snapshot.identity import FromConsul, Identity
from tests.support.clock import FakeWallClock
from tests.support.consul import ConsulServer
from tests.support.identity import RunningSource

Start = Callable[..., RunningSource]
WEB = Wanted(service_account="web")


@pytest.fixture
def consul(tmp_path: Path) -> Iterator[ConsulServer]:
    with ConsulServer(tmp_path / "consul", connect={"enabled": True}) as server:
        yield server


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    running: list[RunningSource] = []

    def make(address: str, token: str = "", wanted: Wanted = WEB, **settings: str) -> Any:
        agent = ConsulAgent(FromConsul(address=address, **settings), token)
        source = ConsulIdentitySource(agent, wanted, Surroundings(FakeWallClock(), lambda: 0.0))
        running.append(RunningSource(source))
        return running[-1]

    yield make
    for each in running:
        await each.stop()


def rotate(consul: ConsulServer) -> None:
    """Have Consul make another root, by giving it another key."""
    form = serialization.PrivateFormat.TraditionalOpenSSL
    key = new_key().private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
    settings = {"LeafCertTTL": "72h", "PrivateKey": key, "RootCert": ""}
    consul.put("/v1/connect/ca/configuration", {"Provider": "consul", "Config": settings})


async def test_an_identity_is_that_of_a_service_and_follows_rotations(consul: ConsulServer, start: Start) -> None:
    running = start(consul.address)
    first = await running.identity()
    assert first.trust_domain.endswith(".consul")
    assert first.spiffe_id == f"spiffe://{first.trust_domain}/ns/default/dc/dc1/svc/web"
    assert first.trust_bundle.count("BEGIN") == 1
    rotate(consul)
    both = await running.until_identity()
    while both.trust_bundle.count("BEGIN") != 2:
        both = await running.until_identity()
    assert first.trust_bundle in both.trust_bundle, "the old root is trusted on"


async def test_an_agent_that_goes_away_and_comes_back(consul: ConsulServer, start: Start) -> None:
    running = start(consul.address)
    first = await running.identity()
    consul.stop()
    assert "does not answer" in await running.until_trouble()
    consul.start()
    running.source.refresh()
    again = await running.until_identity()
    assert again.trust_bundle == first.trust_bundle


async def test_an_agent_that_is_not_there_yet(consul: ConsulServer, start: Start) -> None:
    consul.stop()
    running = start(consul.address)
    assert "does not answer" in await running.trouble()
    consul.start()
    running.source.refresh()
    assert isinstance(await running.until_identity(), Identity)


async def test_a_trust_domain_that_is_not_consuls(consul: ConsulServer, start: Start) -> None:
    running = start(consul.address, wanted=Wanted("mesh.local", "shop", "web"))
    assert "is not of the trust domain mesh.local" in await running.trouble()


async def test_connect_that_is_not_enabled(tmp_path: Path, start: Start) -> None:
    with ConsulServer(tmp_path / "consul") as consul:
        found = await start(consul.address).trouble()
    assert "connect { enabled = true }" in found


async def test_tokens_are_needed_where_there_are_acls(tmp_path: Path, start: Start) -> None:
    acl = {"enabled": True, "default_policy": "deny", "tokens": {"master": "the-master-token"}}
    with ConsulServer(tmp_path / "consul", connect={"enabled": True}, acl=acl) as consul:
        assert "allowed to service:write" in await start(consul.address).until_trouble()
        assert "HTTP 403" in await start(consul.address, token="wrong").until_trouble()
        token = tmp_path / "token"
        token.write_text("the-master-token\n")
        running = start(consul.address, token="wrong", token_file=str(token))
        assert (await running.until_identity()).spiffe_id.endswith("/svc/web")
        assert "cannot be read" in await start(consul.address, token_file=str(tmp_path / "token2")).trouble()


async def test_a_socket_of_an_agent(tmp_path: Path, start: Start) -> None:
    path = tmp_path / "s"
    with ConsulServer(tmp_path / "consul", connect={"enabled": True}, addresses={"http": f"127.0.0.1 unix://{path}"}):
        assert (await start(f"unix://{path}").identity()).spiffe_id.endswith("/svc/web")


async def test_something_that_is_not_consul(start: Start, consul: ConsulServer) -> None:
    assert "answers HTTP 404" in await start(f"{consul.address}/v1/nothing").trouble()
    assert "does not answer" in await start("unix:///nowhere").trouble()
