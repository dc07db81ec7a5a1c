"""Agents that refuse, lie, hang, or talk nonsense: the last good instances stay, and it says what is wrong."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.processes import free_port
from meshproxy.registry.consul import transport, watch
from meshproxy.resources.sources import ConsulTLS
from tests.support.consul import ConsulServer
from tests.support.fake_consul import SERVICES, FakeConsul, Reply, instances
from tests.unit.registry.consul.conftest import Follow

RULES = 'node_prefix "" { policy = "read" } service_prefix "" { policy = "read" }'


@pytest.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeConsul]:
    monkeypatch.setattr(watch, "FIRST_RETRY", 0.01)
    monkeypatch.setattr(watch, "LAST_RETRY", 0.05)
    monkeypatch.setattr(watch, "IDLE_INTERVAL", 0.05)
    async with FakeConsul().running() as server:
        yield server


FAULTS = {
    "500": (Reply(b"No cluster leader", 500), "500 No cluster leader"),
    "429": (Reply(b"slow down", 429), "429 slow down"),
    "403": (Reply(b"Permission denied", 403), "denies it: Permission denied; tokenFile must hold a token"),
    "a redirect": (Reply(b"", 302), "Failed to decode JSON"),
    "truncated": (Reply(b'[{"Node": {', length=1000), "cannot be asked"),
    "truncated JSON": (Reply(b'[{"Node": {'), "Failed to decode JSON"),
    "HTML": (Reply(b"<html>" * 10_000), "Failed to decode JSON"),
    "nothing": (Reply(b""), "Failed to decode JSON"),
    "invalid UTF-8": (Reply(b'[{"Node": "\xff\xfe"}]'), "answered: 'utf-8' codec"),
    "half a character": (instances("web-\ud800"), "answered: 'utf-8' codec"),
    "NUL": (Reply(b"\0" * 50), "answered: "),
    "another shape": (Reply(b'{"a": 1}'), "answered something unexpected: Expected"),
    "a string for a port": (instances("web-1", Port="80"), "Expected `int`, got `str`"),
    "no index": (Reply(b"[]", at=None), "Missing index header"),
    "no HTTP": (Reply(b"[]", status=0), "cannot be asked"),
    "deep": (Reply(b"[" * 100_000), "answered: "),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_keeps_what_there_was_and_is_got_over(fake: FakeConsul, follow: Follow, fault: str) -> None:
    reply, said = FAULTS[fault]
    heard = follow(address=fake.address)
    await heard.until_workloads("web-1.n")
    fake.now(lambda path: SERVICES if path.startswith("/v1/catalog") else reply)
    update = await heard.until(lambda update: update.problem)
    assert said in update.problem
    assert len(update.problem) < 400
    assert list(heard.workloads(update)) == ["web-1.n"]
    fake.now(lambda path: SERVICES if path.startswith("/v1/catalog") else instances("web-1", "web-2"))
    await heard.until_workloads("web-1.n", "web-2.n")
    await heard.until(lambda update: not update.problem)


async def test_a_fault_from_the_start_is_said_at_once(fake: FakeConsul, follow: Follow) -> None:
    fake.answer = lambda path: Reply(b"No cluster leader", 500)
    update = await follow(address=fake.address).until(lambda update: True)
    assert update.resources is None
    assert "No cluster leader" in update.problem


async def test_nobody_listens(follow: Follow) -> None:
    update = await follow(address=f"http://127.0.0.1:{free_port()}").until(lambda update: True)
    assert update.problem.endswith("cannot be asked: connection refused")


@pytest.mark.parametrize("index", ["0", "-5", "x", "1.5", "99999999999999999999999", ""])
async def test_an_index_that_is_none_is_not_gone_on_from(fake: FakeConsul, follow: Follow, index: str) -> None:
    fake.answer = lambda path: fake.well(path)._replace(at=index)
    heard = follow(address=fake.address)
    await heard.until_workloads("web-1.n")
    count = len(fake.requests)
    while len(fake.requests) < count + 4:
        await asyncio.sleep(0.001)
    assert not any("index=" in path for path in fake.requests)


async def test_an_index_that_goes_backwards_starts_anew(fake: FakeConsul, follow: Follow) -> None:
    fake.answer = lambda path: fake.well(path)._replace(at="100")
    heard = follow(address=fake.address)
    await heard.until_workloads("web-1.n")
    fake.now(lambda path: (SERVICES if "catalog" in path else instances("web-2"))._replace(at="5"))
    await heard.until_workloads("web-2.n")
    async with asyncio.timeout(10):
        while not any("/v1/health/service/web?index=5&" in path for path in fake.requests):
            await asyncio.sleep(0.001)
    fake.now(lambda path: (SERVICES if "catalog" in path else instances("web-3"))._replace(at="6"))
    await heard.until_workloads("web-3.n")


async def test_an_agent_that_does_not_wait_is_not_asked_all_the_time(fake: FakeConsul, follow: Follow) -> None:
    fake.blocks = False
    await follow(address=fake.address).until_workloads("web-1.n")
    asked = len(fake.requests)
    async with asyncio.timeout(10):
        started = asyncio.get_running_loop().time()
        while len(fake.requests) < asked + 10:
            await asyncio.sleep(0.001)
    assert asyncio.get_running_loop().time() - started > 4 * watch.IDLE_INTERVAL


async def test_an_agent_that_hangs_is_given_up(
    fake: FakeConsul, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "REQUEST_TIMEOUT", 0.1)
    fake.answer = lambda path: fake.well(path)._replace(wait=60)
    update = await follow(address=fake.address).until(lambda update: True)
    assert "does not answer in time" in update.problem


async def test_an_answer_without_end_is_given_up(
    fake: FakeConsul, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "MAX_BODY", 1000)
    fake.answer = lambda path: Reply(b"[" + b" " * 5000 + b"]")
    update = await follow(address=fake.address).until(lambda update: True)
    assert "the answer is larger than" in update.problem


async def test_what_enterprise_and_other_datacenters_need_is_asked_for(fake: FakeConsul, follow: Follow) -> None:
    await follow(address=fake.address, datacenter="dc2", consul_namespace="team", partition="p").until_workloads(
        "web-1.n"
    )
    assert all("dc=dc2" in path and "ns=team" in path and "partition=p" in path for path in fake.requests)


# -- a real agent ------------------------------------------------------------------------


async def test_acl_denied_then_given(tmp_path: Path, acl_server: ConsulServer, follow: Follow) -> None:
    token = tmp_path / "token"
    acl_server.register("web")
    token.write_text("00000000-0000-0000-0000-00000000dead")
    heard = follow(address=acl_server.address, token_file=str(token))
    update = await heard.until(lambda update: update.problem)
    assert "denies it: ACL not found; tokenFile must hold a token" in update.problem
    policy = acl_server.put("/v1/acl/policy", {"Name": "read", "Rules": RULES})
    given = acl_server.put("/v1/acl/token", {"Policies": [{"ID": policy["ID"]}]})
    token.write_text(given["SecretID"] + "\n")
    await heard.until_workloads("web.node-1")
    token.unlink()
    acl_server.check("web", "fail")
    update = await heard.until(lambda update: update.problem)
    assert str(token) in update.problem


async def test_a_unix_socket(tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "consul.sock"
    with ConsulServer(tmp_path / "agent", addresses={"http": f"127.0.0.1 unix://{path}"}) as server:
        server.register("web")
        await follow(address=f"unix://{path}").until_workloads("web.node-1")


def _certificates(directory: Path) -> None:
    """An authority, and a certificate of it for the name ``agent.test``, for servers and clients."""
    run = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    ca = ("-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority")
    subprocess.run((*run, *ca), cwd=directory, check=True, capture_output=True)
    leaf = ("-keyout", "a.key", "-out", "a.pem", "-subj", "/CN=agent.test", "-CA", "ca.pem", "-CAkey", "ca.key")
    names = ("-addext", "subjectAltName=DNS:agent.test", "-addext", "basicConstraints=critical,CA:FALSE")
    subprocess.run((*run, *leaf, *names), cwd=directory, check=True, capture_output=True)


async def test_tls_with_a_client_certificate(tmp_path: Path, follow: Follow) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("not installed; on Debian: apt-get install openssl")
    _certificates(tmp_path)
    https = free_port()
    files: dict[str, Any] = {
        "ca_file": f"{tmp_path}/ca.pem",
        "cert_file": f"{tmp_path}/a.pem",
        "key_file": f"{tmp_path}/a.key",
    }
    server = ConsulServer(tmp_path / "agent", verify_incoming_https=True, **files)
    server.settings["ports"]["https"] = https
    address = f"https://127.0.0.1:{https}"
    with server:
        server.register("web")
        tls = ConsulTLS(**files, server_name="agent.test")
        await follow(address=address, tls=tls).until_workloads("web.node-1")
        without = follow(address=address, tls=ConsulTLS(ca_file=files["ca_file"], server_name="agent.test"))
        assert "cannot be asked" in (await without.until(lambda update: True)).problem
        another = follow(address=address, tls=ConsulTLS(**files))
        assert "certificate verify failed" in (await another.until(lambda update: True)).problem
        missing = follow(address=address, tls=ConsulTLS(ca_file=str(tmp_path / "none.pem")))
        assert "none.pem: no such file" in (await missing.until(lambda update: True)).problem
        shutil.copy(tmp_path / "ca.pem", tmp_path / "none.pem")
        late = await missing.until(lambda update: "no such file" not in update.problem)
        assert "IP address mismatch" in late.problem, "the authority is trusted now, the name is another"
