"""A real Prometheus scrapes, and its own tool finds nothing wrong."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from meshproxy.base.addresses import SocketAddress
from tests.integration.addresses import BACKENDS, free_address
from tests.integration.conditions import wait_until
from tests.integration.manifests import make_service, make_workload
from tests.integration.programs import require, running
from tests.integration.proxy_process import ProxyProcess
from tests.meta.dashboards import OBSERVABILITY
from tests.meta.dashboards import RULES as RULE_FILES
from tests.support.http import Origin

PROMETHEUS = OBSERVABILITY / "prometheus"
RULES = [str(path.relative_to(PROMETHEUS)) for path in RULE_FILES]
CONFIG = """\
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
- job_name: meshproxy
  static_configs: [{{targets: ["{admin}"]}}]
"""


async def _serve(proxy: ProxyProcess, address: SocketAddress, origin: Origin) -> None:
    """A proxy with tracing whose Service has had three requests."""
    await origin.start()
    telemetry = {"otlp": {"endpoint": "http://127.0.0.1:1"}, "tracing": {"samplePercent": 100}}
    proxy.configure(make_service(address), make_workload(origin.endpoint.address, "b1"), telemetry=telemetry)
    await proxy.start()
    async with httpx.AsyncClient(trust_env=False) as client:
        for _ in range(3):
            await client.get(f"http://{address}/")
    await wait_until(lambda: _is_counted(proxy), "the requests are counted")


async def _is_counted(proxy: ProxyProcess) -> bool:
    return "meshproxy_route_request_duration_seconds_count" in await proxy.text("/metrics")


async def test_promtool_finds_nothing_wrong(proxy: ProxyProcess, address: SocketAddress) -> None:
    require("promtool")
    origin = Origin()
    await _serve(proxy, address, origin)
    text = await proxy.text("/metrics")
    check = await asyncio.create_subprocess_exec(
        "promtool", "check", "metrics", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await check.communicate(text.encode())
    assert (check.returncode, output.decode()) == (0, "")
    await origin.stop()


async def test_prometheus_scrapes_and_keeps_exemplars(
    proxy: ProxyProcess, address: SocketAddress, tmp_path: Path
) -> None:
    require("prometheus")
    origin = Origin()
    await _serve(proxy, address, origin)
    config = tmp_path / "prometheus.yml"
    config.write_text(CONFIG.format(admin=proxy.admin))
    listens = free_address(BACKENDS)
    options = (
        f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}", f"--web.listen-address={listens}",
        "--enable-feature=exemplar-storage",
    )  # fmt: skip
    query = 'meshproxy_endpoint_requests_total{code="2xx"}'
    bucket = "meshproxy_route_request_duration_seconds_bucket"
    async with (
        running("prometheus", *options, directory=tmp_path, listens=listens),
        httpx.AsyncClient(base_url=f"http://{listens}", trust_env=False) as client,
    ):

        async def found(path: str, **parameters: str) -> bool:
            response = await client.get(path, params=parameters)
            data = json.loads(response.text)["data"]
            return bool(data["result"] if isinstance(data, dict) else data)

        await wait_until(lambda: found("/api/v1/query", query=f"{query} == 3"), "the requests are in Prometheus")
        between = {"start": "0", "end": "4102444800"}
        await wait_until(lambda: found("/api/v1/query_exemplars", query=bucket, **between), "an exemplar is, too")
    await origin.stop()


@pytest.mark.parametrize("command", [("check", "rules", *RULES), ("test", "rules", "rules_test.yml")], ids=" ".join)
async def test_promtool_finds_the_rules_right(command: tuple[str, ...]) -> None:
    require("promtool")
    done = await asyncio.create_subprocess_exec(
        "promtool", *command, cwd=PROMETHEUS, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await done.communicate()
    assert done.returncode == 0, output.decode()
