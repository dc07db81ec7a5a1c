"""Five hundred containers: found at the start, and one change among them seen at once. Bounds are for noisy cores."""

from __future__ import annotations

from pathlib import Path

from tests.integration.conditions import wait_until
from tests.integration.proxy_process import ProxyProcess
from tests.support.docker import listed, make_container
from tests.support.docker_engine import FakeEngine

FIRST_WITHIN = 10.0
CHANGE_WITHIN = 5.0


async def test_five_hundred_containers(proxy: ProxyProcess, tmp_path: Path) -> None:
    containers = [
        listed(make_container(f"web-{number}", f"service=web{number % 50}", "service-port=80")) for number in range(500)
    ]
    async with FakeEngine(tmp_path / "docker.sock") as engine:
        await engine.set(containers)
        proxy.configure(sources=[{"docker": {"endpoint": f"unix://{engine.path}"}}], log={"level": "warning"})
        await proxy.start()
        await wait_until(lambda: _is_in_force(proxy, 500), "all are found", FIRST_WITHIN)
        engine.lists.clear()
        await engine.set(containers[:-1])
        await wait_until(lambda: _is_in_force(proxy, 499), "one that ended is gone", CHANGE_WITHIN)
        assert None not in engine.lists, "one change is no reason to list all"


async def _is_in_force(proxy: ProxyProcess, count: int) -> bool:
    config = (await proxy.get("/api/v1/status"))["config"]
    return config["version"] == config["lastGood"] and len(await proxy.get("/api/v1/workloads")) == count
