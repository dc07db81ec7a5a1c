"""A real proxy tells an OpenTelemetry collector what happened, and its traffic goes on without one."""

from __future__ import annotations

from typing import Any

import httpx

from meshproxy.base.addresses import SocketAddress
from tests.integration.backends import Backend
from tests.integration.clients import Client
from tests.integration.conditions import wait_until
from tests.integration.manifests import make_service, make_workload
from tests.integration.proxy_process import ProxyProcess
from tests.support.collector import Collector, plain
from tests.support.http import Origin


async def _configure(
    proxy: ProxyProcess, address: SocketAddress, backend: SocketAddress, url: str, **more: Any
) -> None:
    tracing = {"samplePercent": 100, "connections": True}
    telemetry = {"otlp": {"endpoint": url, "timeout": "1s"}, "tracing": tracing, **more}
    service, workload = make_service(address), make_workload(backend, "b1")
    proxy.configure(service, workload, telemetry=telemetry, accessLog={"path": "/dev/null"})
    await proxy.start()


async def test_requests_connections_logs_and_metrics_arrive(proxy: ProxyProcess, address: SocketAddress) -> None:
    origin = Origin()
    await origin.start()
    async with Collector() as collector:
        more = {"metrics": {"interval": "100ms"}, "logs": {}}
        await _configure(proxy, address, origin.endpoint.address, collector.url, **more)
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"http://{address}/a")).text == "ok"
        await collector.wait_until(lambda: len(collector.spans) >= 2 and len(collector.logs) >= 1)
        server, tried = collector.spans[:2]
        assert tried.parent_span_id == server.span_id
        assert plain(server.attributes)["url.path"] == "/a"
        assert collector.resources[0]["service.name"] == collector.resources[0]["meshproxy.workload"] == "test"
        assert collector.resources[0]["telemetry.distro.name"] == "meshproxy"
        assert collector.logs[0].trace_id == server.trace_id
        told = origin.requests[0].field(b"traceparent")
        assert told == f"00-{server.trace_id.hex()}-{tried.span_id.hex()}-01".encode()
        names = {"meshproxy.endpoint.requests", "http.server.request.duration"}
        await collector.wait_until(
            lambda: any(names <= {each.name for each in metrics} for metrics in collector.metrics)
        )
    await origin.stop()


async def test_a_connection_is_two_spans(proxy: ProxyProcess, address: SocketAddress) -> None:
    async with Collector() as collector, Backend("echo") as backend:
        await _configure(proxy, address, backend.address, collector.url)
        async with await Client.connect(address) as client:
            await client.echo(b"hello")
        await collector.wait_until(lambda: len(collector.spans) >= 2)
        attributes = plain(collector.spans[0].attributes)
        assert (attributes["meshproxy.received_bytes"], attributes["meshproxy.sent_bytes"]) == (5, 10)
        assert plain(collector.spans[1].attributes)["server.port"] == backend.address.port


async def test_without_a_collector_nothing_waits(proxy: ProxyProcess, address: SocketAddress) -> None:
    origin = Origin()
    await origin.start()
    await _configure(proxy, address, origin.endpoint.address, "http://127.0.0.1:1")
    async with httpx.AsyncClient(trust_env=False) as client:
        for _ in range(20):
            assert (await client.get(f"http://{address}/")).status_code == 200

    async def is_told() -> bool:
        (export,) = (await proxy.get("/api/v1/status"))["exports"]
        return bool(export["problem"])

    await wait_until(is_told, "the status says that the collector is away")
    await origin.stop()
