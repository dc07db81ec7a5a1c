"""What a running proxy tells of HTTP requests: metrics, tables, explanations, and the access log in all its forms."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from meshproxy.base.addresses import SocketAddress
from tests.integration.conditions import wait_until
from tests.integration.manifests import Manifest, make_policy, make_route, make_service, make_workload
from tests.integration.proxy_process import ProxyProcess
from tests.support.http import Origin, Received

BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
ROUTE = {"parent": "Service/default/shop:main", "route": "HTTPRoute/default/shop"}


def manifests(address: SocketAddress, origins: tuple[Origin, Origin], **policy: Any) -> tuple[Manifest, ...]:
    """A Service with a route of two rules, a third of the second's requests to another Service."""
    both = [{"name": "shop", "port": address.port, "weight": 2}, {"name": "next", "port": 80, "weight": 1}]
    return (
        make_service(address, "shop"),
        make_service(None, "next", ports=[{"name": "main", "port": 80, "targetPort": "main"}]),
        make_workload(origins[0].endpoint.address, "shop-1", "shop"),
        make_workload(origins[1].endpoint.address, "next-1", "next"),
        make_route(
            "shop",
            {"name": "cart", "matches": [{"path": {"value": "/cart"}}], "backendRefs": [both[0]]},
            {"backendRefs": both},
        ),
        *((make_policy("shop", **policy),) if policy else ()),
    )


@asynccontextmanager
async def client_of(address: SocketAddress) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://{address}", trust_env=False, timeout=10) as client:
        yield client


async def metric(proxy: ProxyProcess, name: str, **labels: str) -> float | None:
    """The sum of the series with `labels`, of which some may be left out; None where there are none."""
    families = text_string_to_metric_families(await proxy.text("/metrics"))
    samples = (sample for family in families for sample in family.samples if sample.name == name)
    found = [sample.value for sample in samples if labels.items() <= sample.labels.items()]
    return sum(found) if found else None


async def wait_for_metric(proxy: ProxyProcess, name: str, value: float, **labels: str) -> None:
    async def is_there() -> bool:
        return await metric(proxy, name, **labels) == value

    await wait_until(is_there, f"{name} of {labels} is {value:g}")


async def test_requests_are_counted_by_rule_backend_and_endpoint(
    proxy: ProxyProcess, address: SocketAddress, origins: tuple[Origin, Origin]
) -> None:
    proxy.configure(*manifests(address, origins))
    await proxy.start()
    async with client_of(address) as client:
        for _ in range(5):
            assert (await client.get("/cart")).status_code == 200
        for _ in range(60):
            await client.get("/")
        shop, other = len(origins[0].requests) - 5, len(origins[1].requests)
        await wait_for_metric(proxy, "meshproxy_route_requests_total", 65, **ROUTE, code="2xx")
    rest = {**ROUTE, "rule": "default/shop/1"}
    assert await metric(proxy, "meshproxy_route_requests_total", **rest, backend=f"shop:{address.port}") == shop
    assert await metric(proxy, "meshproxy_route_requests_total", **rest, backend="next:80") == other
    assert await metric(proxy, "meshproxy_route_request_duration_seconds_count", **rest) == 60
    bucket = "meshproxy_route_request_duration_seconds_bucket"
    assert await metric(proxy, bucket, **rest, le="+Inf") == 60
    assert await metric(proxy, "meshproxy_endpoint_requests_total", workload="next-1", code="2xx") == other
    assert await metric(proxy, "meshproxy_endpoint_idle_connections", workload="shop-1") == 1
    assert await metric(proxy, "meshproxy_endpoint_active_connections", workload="shop-1") == 0

    rows = {each["rule"]: each for each in await proxy.get("/api/v1/routes")}
    assert rows["default/shop/cart"]["requests"]["total"] == 5
    assert [each["requests"]["total"] for each in rows["default/shop/1"]["backends"]] == [shop, other]
    stats = await proxy.get("/api/v1/stats")
    assert {
        each["backend"]: each["statuses"]["2xx"] for each in stats["rules"] if each["rule"] == "default/shop/1"
    } == {
        f"shop:{address.port}": shop,
        "next:80": other,
    }


async def test_tables_show_how_requests_split(
    proxy: ProxyProcess, address: SocketAddress, origins: tuple[Origin, Origin]
) -> None:
    proxy.configure(*manifests(address, origins))
    await proxy.start()
    origins[1].answer = BUSY
    async with client_of(address) as client:
        codes = Counter([(await client.get("/")).status_code for _ in range(40)])
        await wait_for_metric(proxy, "meshproxy_route_requests_total", 40, **ROUTE)
    status, table = await proxy.meshproxy("get", "routes")
    assert status == 0
    (row,) = [line.split() for line in table.splitlines() if line.startswith("shop   1")]
    assert row[row.index("40") + 1] == f"{100 * codes[503] / 40:.3g}%"
    _, described = await proxy.meshproxy("describe", "route", "shop")
    (split,) = [line.split() for line in described.splitlines() if line.strip().startswith("next:80")]
    assert split[1:6] == ["1", "33.3%", str(codes[503]), f"{100 * codes[503] / 40:.3g}%", "100%"]
    _, service = await proxy.meshproxy("describe", "service", "next")
    (line,) = [line.split() for line in service.splitlines() if line.strip().startswith("default/shop/1")]
    assert line[-5:-1] == ["40", "33.3%", str(codes[503]), f"{100 * codes[503] / 40:.3g}%"]
    _, endpoints = await proxy.meshproxy("get", "endpoints", "next", "-o", "wide")
    assert endpoints.splitlines()[1].split()[-7:-5] == [str(codes[503]), "100%"]
    _, overview = await proxy.meshproxy("status")
    assert f"Requests: 40: {100 * codes[503] / 40:.3g}% failed, 0 retries, p50 " in overview


async def test_the_running_proxy_explains_a_request(
    proxy: ProxyProcess, address: SocketAddress, origins: tuple[Origin, Origin]
) -> None:
    """What it says is what happens."""
    proxy.configure(*manifests(address, origins))
    await proxy.start()
    status, output = await proxy.meshproxy("route", "explain", "--host", "shop", "--path", "/cart/1", "-o", "json")
    assert status == 0
    explained = json.loads(output)
    assert explained["explanation"]["winner"]["name"] == "default/shop/cart"
    assert [each["backend"] for each in explained["answer"]["backends"]] == [f"shop:{address.port}"]
    async with client_of(address) as client:
        for _ in range(10):
            await client.get("/cart/1")
    assert (len(origins[0].requests), len(origins[1].requests)) == (10, 0)
    by_address = await proxy.meshproxy("route", "explain", "--host", str(address), "--path", "/cart/1", "-o", "json")
    assert json.loads(by_address[1])["explanation"] == explained["explanation"]
    status, output = await proxy.meshproxy("route", "explain", "--host", "nobody.example.com")
    assert status == 2
    assert "nobody.example.com is no Service, and no Gateway or Ingress listens for HTTP" in output


async def test_a_worker_s_death_takes_no_counts(
    proxy: ProxyProcess, address: SocketAddress, origins: tuple[Origin, Origin]
) -> None:
    proxy.configure(*manifests(address, origins))
    await proxy.start()
    async with client_of(address) as client:
        for _ in range(3):
            await client.get("/cart")
        await wait_for_metric(proxy, "meshproxy_route_requests_total", 3, **ROUTE)
        await wait_for_metric(proxy, "meshproxy_endpoint_idle_connections", 1, workload="shop-1")
        (worker,) = proxy.worker_pids()
        os.kill(worker, signal.SIGKILL)
        await wait_for_metric(proxy, "meshproxy_worker_restarts_total", 1)
        await wait_until(proxy.ready, "the new worker is ready")
    assert await metric(proxy, "meshproxy_route_requests_total", **ROUTE) == 3
    assert await metric(proxy, "meshproxy_endpoint_idle_connections", workload="shop-1") == 0
    async with client_of(address) as client:
        await client.get("/cart")
        await wait_for_metric(proxy, "meshproxy_route_requests_total", 4, **ROUTE)
        await wait_for_metric(proxy, "meshproxy_endpoint_requests_total", 4, workload="shop-1")


async def test_retries_and_why_requests_failed(
    proxy: ProxyProcess, address: SocketAddress, origins: tuple[Origin, Origin]
) -> None:
    retry = {"attempts": 2, "conditions": ["Status"], "backoff": "1ms"}
    proxy.configure(*manifests(address, origins, retry=retry, rateLimit={"requests": 3, "interval": "1h"}))
    await proxy.start()
    answers = iter([BUSY, BUSY])

    async def answer(received: Received) -> bytes:
        return next(answers, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    origins[0].answer = answer
    async with client_of(address) as client:
        codes = [(await client.get("/cart")).status_code for _ in range(5)]
        assert (await client.get("/cart/%zz")).status_code == 400
        await wait_for_metric(proxy, "meshproxy_listener_response_flags_total", 1, flag="DPE")
    assert codes == [200, 200, 200, 429, 429]
    cart = {**ROUTE, "rule": "default/shop/cart"}
    assert await metric(proxy, "meshproxy_route_retries_total", **cart) == 2
    assert await metric(proxy, "meshproxy_route_requests_total", **cart, code="4xx") == 2
    assert await metric(proxy, "meshproxy_endpoint_requests_total", workload="shop-1", code="5xx") == 2
    assert await metric(proxy, "meshproxy_listener_rate_limited_total", service="shop") == 2
    assert await metric(proxy, "meshproxy_listener_circuit_broken_total", service="shop") == 0


async def test_ejections_are_seen(proxy: ProxyProcess, address: SocketAddress, origins: tuple[Origin, Origin]) -> None:
    outlier = {"consecutive5xx": 3, "baseEjectionTime": "5m", "interval": "1h"}
    proxy.configure(*manifests(address, origins, outlierDetection=outlier))
    await proxy.start()
    assert await metric(proxy, "meshproxy_endpoint_ejections_total", workload="shop-1") == 0
    origins[0].answer = BUSY
    async with client_of(address) as client:
        for _ in range(3):
            await client.get("/cart")
    await wait_for_metric(proxy, "meshproxy_endpoint_ejections_total", 1, workload="shop-1")
    assert await metric(proxy, "meshproxy_endpoint_ejected", workload="shop-1") == 1
    events = await proxy.get("/api/v1/events?subject=Service/shop")
    assert "EndpointEjected" in [each["event"]["reason"] for each in events]
    _, table = await proxy.meshproxy("get", "endpoints", "shop", "-o", "wide")
    assert table.splitlines()[1].split()[4] == "Ejected"
    assert table.splitlines()[1].split()[-1] == "1"


# -- the access log ----------------------------------------------------------------------


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


async def wait_for_lines(path: Path, count: int) -> list[str]:
    await wait_until(lambda: len(lines_of(path)) >= count, f"{path} has {count} lines")
    assert len(lines_of(path)) == count
    return lines_of(path)


async def test_the_access_log_in_all_its_forms(
    proxy: ProxyProcess, address: SocketAddress, origins: tuple[Origin, Origin], tmp_path: Path
) -> None:
    """A change of the form is in force with the next request."""
    everything, path = manifests(address, origins), tmp_path / "access.log"
    proxy.configure(*everything, accessLog={"path": str(path)})
    await proxy.start()
    forged = {"User-Agent": 'x" 200 - "\\', "Host": "shop", "X-Tenant": "north"}
    async with client_of(address) as client:
        await client.get("/cart?x=1", headers=forged)
        (text,) = await wait_for_lines(path, 1)
        assert '"GET /cart?x=1 HTTP/1.1" 200 - 0 2 ' in text
        assert text.endswith(f'"shop" "{origins[0].endpoint.id}"')
        assert r'"x\" 200 - \"\\"' in text

        path.rename(tmp_path / "access.log.1")
        await reconfigure(proxy, *everything, accessLog={"path": str(path), "format": "json"})
        await client.get("/cart?x=1", headers=forged)
        (line,) = await wait_for_lines(path, 1)
        entry = json.loads(line)
        assert (entry["method"], entry["path"], entry["response_code"]) == ("GET", "/cart?x=1", 200)
        assert (entry["user_agent"], entry["route_name"]) == (forged["User-Agent"], "default/shop/cart")
        assert (entry["upstream_host"], entry["response_flags"]) == (origins[0].endpoint.id, None)

        text = "%REQ(:METHOD)% %REQ(X-NONE?X-TENANT)% %RESPONSE_CODE% %ROUTE_NAME% 100%%"
        await reconfigure(proxy, *everything, accessLog={"path": str(path), "format": text})
        await client.post("/cart", headers=forged)
        assert (await wait_for_lines(path, 2))[1] == "POST north 200 default/shop/cart 100%"

        await reconfigure(proxy, *everything)
        await client.get("/cart")
        await wait_for_metric(proxy, "meshproxy_route_requests_total", 4, **ROUTE)
    assert len(lines_of(path)) == 2
    assert await metric(proxy, "meshproxy_access_log_lines_total") == 3


async def reconfigure(proxy: ProxyProcess, *documents: Manifest, **spec: Any) -> None:
    """Return once the new configuration is in force."""
    before = (await proxy.get("/api/v1/status"))["config"]["lastGood"]
    proxy.configure(*documents, **spec)

    async def is_in_force() -> bool:
        now = (await proxy.get("/api/v1/status"))["config"]
        return bool(now["lastGood"] == now["version"] != before)

    await wait_until(is_in_force, "the change is in force")


async def test_the_access_log_is_filtered_and_reopened(
    proxy: ProxyProcess, address: SocketAddress, origins: tuple[Origin, Origin], tmp_path: Path
) -> None:
    path, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    log = {"path": str(path), "format": "%REQ(:PATH)% %RESPONSE_FLAGS%", "samplePercent": 0, "minStatus": 400}
    proxy.configure(*manifests(address, origins), accessLog=log)
    await proxy.start()
    async with client_of(address) as client:
        for number in range(20):
            await client.get(f"/cart/{number}")
        await client.get("/%zz")
        assert await wait_for_lines(path, 1) == ["/%zz DPE"]
        path.rename(moved)
        proxy.signal(signal.SIGHUP)
        await client.get("/%yy")
        assert await wait_for_lines(path, 1) == ["/%yy DPE"]
    assert lines_of(moved) == ["/%zz DPE"]


async def test_requests_that_end_with_the_proxy_are_logged(
    proxy: ProxyProcess, address: SocketAddress, origins: tuple[Origin, Origin]
) -> None:
    """To standard output, up to the last line."""
    proxy.configure(*manifests(address, origins), accessLog={"format": "LOGGED %REQ(:PATH)%"})
    await proxy.start()
    async with client_of(address) as client:
        for number in range(50):
            await client.get(f"/cart/{number}")
    proxy.signal(signal.SIGTERM)
    assert await proxy.exit_status() == 0
    logged = [line for line in proxy.log_text().splitlines() if line.startswith("LOGGED")]
    assert logged == [f"LOGGED /cart/{number}" for number in range(50)]


async def test_a_log_that_cannot_be_written_harms_nobody(
    proxy: ProxyProcess, address: SocketAddress, origins: tuple[Origin, Origin]
) -> None:
    proxy.expected_errors.append("the access log cannot be written to /dev/full: No space left on device")
    proxy.configure(*manifests(address, origins), accessLog={"path": "/dev/full"})
    await proxy.start()
    async with client_of(address) as client:
        assert (await client.get("/cart")).status_code == 200
        await wait_for_metric(proxy, "meshproxy_access_log_dropped_total", 1)
        assert (await client.get("/cart")).status_code == 200
    _, output = await proxy.meshproxy("status")
    assert "No space left on device: lines are dropped meanwhile" in output
