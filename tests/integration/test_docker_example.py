"""The example with labels does what its README says, with a real engine."""

from __future__ import annotations

from pathlib import Path

import httpx

from meshproxy.base.addresses import SocketAddress
from tests.integration.compose import SOCKET, Compose
from tests.integration.conditions import wait_until
from tests.integration.examples import EXAMPLES, prepare_example
from tests.integration.proxy_process import ProxyProcess

EDGE = SocketAddress("127.96.0.45", 8080)
COMPOSE = EXAMPLES / "docker-labels" / "shop" / "docker-compose.yml"


async def test_docker_labels(proxy: ProxyProcess, tmp_path: Path) -> None:
    async with Compose(COMPOSE) as compose:
        prepare_example(proxy, "docker-labels", EDGE)
        manifests = proxy.manifests / "manifests.yaml"
        manifests.write_text(manifests.read_text().replace("/var/run/docker.sock", str(SOCKET)))
        await compose.up("--scale", "stable=2")
        await proxy.start("--admin", str(proxy.admin))
        await wait_until(lambda: _healthy(proxy), "all five are healthy")
        async with httpx.AsyncClient(base_url=f"http://{EDGE}", headers={"Host": "shop.example"}) as client:
            said = [(await client.get("/")).text for _ in range(200)]
            testers = [
                (await client.get("/", headers={"X-Beta": "1"})).text,
                (await client.get("/", headers={"Cookie": "beta=1"})).text,
            ]
            elsewhere = await client.get("/", headers={"Host": "other.example"})
        assert testers == ["beta\n", "beta\n"]
        assert elsewhere.status_code == 404
        assert 15 <= said.count("canary\n") <= 90  # 50 of 200, by chance: beyond this once in 10^7 runs
        assert said.count("stable\n") + said.count("canary\n") == 200
        await wait_until(lambda: _mirrored(compose, 200), "the shadow has seen every request")


async def _mirrored(compose: Compose, count: int) -> bool:
    """A mirrored request is sent beside the real one, which does not wait for it."""
    logs = await compose("logs", "--no-log-prefix", "shadow")
    return logs.count("GET / ") >= count


async def _healthy(proxy: ProxyProcess) -> bool:
    rows = [row for row in await proxy.get("/api/v1/endpoints") if row["service"].startswith("shop")]
    return [row.get("status") for row in rows].count("Healthy") == 5
