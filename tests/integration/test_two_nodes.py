"""Two machines with one configuration: each proxy knows which endpoints are its own."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from meshproxy.base.addresses import SocketAddress
from tests.integration.conditions import wait_until
from tests.integration.manifests import make_service, make_workload
from tests.integration.network_namespace import (
    Node,
    NodeProxy,
    add_namespace,
    delete_namespace,
    namespace_of,
    two_nodes,
)
from tests.integration.programs import nginx, output_of, require, running

SERVICE = SocketAddress("127.96.0.10", 80)
PORT = 8080


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[tuple[NodeProxy, NodeProxy]]:
    """Two nodes, each with an nginx that answers the node's name and a proxy that is not started."""
    require("nginx")
    async with two_nodes() as pair, AsyncExitStack() as stack:
        for node in pair:
            await stack.enter_async_context(_web_server(node, tmp_path))
        proxies = tuple(NodeProxy(tmp_path / node.name, node) for node in pair)
        for proxy in proxies:
            stack.push_async_callback(proxy.stop)
        yield proxies[0], proxies[1]


def _web_server(node: Node, directory: Path) -> Any:
    address = SocketAddress(node.address, PORT)
    command = (*node.prefix, *nginx(node.name, address, directory))
    return running(*command, directory=directory, listens=address, reached_by=node.prefix)


async def _start(proxy: NodeProxy, other: NodeProxy, **service: Any) -> None:
    proxy.configure(
        make_service(SERVICE, **service),
        *(
            make_workload(SocketAddress(each.node.address, PORT), each.node.name, nodeName=each.node.name)
            for each in (proxy, other)
        ),
        nodeName=proxy.node.name,
    )
    if not proxy.alive:
        await proxy.start()


async def _answers(proxy: NodeProxy, count: int = 6) -> Counter[str]:
    outputs = [await proxy.node.run("curl", "-sS", "-m", "5", f"http://{SERVICE}/") for _ in range(count)]
    return Counter(output.strip() for output in outputs)


async def test_traffic_crosses_nodes_and_local_policy_keeps_it_home(nodes: tuple[NodeProxy, NodeProxy]) -> None:
    first, second = nodes
    await _start(first, second)
    await _start(second, first, internalTrafficPolicy="Local")
    assert await _answers(first) == {"node-a": 3, "node-b": 3}
    assert await _answers(second) == {"node-b": 6}


async def test_same_node_is_preferred_and_left_when_it_fails(nodes: tuple[NodeProxy, NodeProxy]) -> None:
    """Preferred is not required: without an endpoint of its own a node uses the other's."""
    first, second = nodes
    await _start(first, second, trafficDistribution="PreferSameNode")
    assert await _answers(first) == {"node-a": 6}
    first.configure(
        make_service(SERVICE, trafficDistribution="PreferSameNode"),
        make_workload(SocketAddress(second.node.address, PORT), "node-b", nodeName="node-b"),
        nodeName="node-a",
    )
    await wait_until(lambda: _only(first, "node-b"), "the other node's endpoint is used")


async def _only(proxy: NodeProxy, name: str) -> bool:
    return set(await _answers(proxy, 3)) == {name}


async def test_what_a_killed_run_left_is_cleared_and_what_a_living_one_has_is_not() -> None:
    require("ip")
    owner = await asyncio.create_subprocess_exec("sleep", "1000")
    left, owned = namespace_of(owner.pid, "x"), namespace_of(os.getppid(), "x")
    try:
        for namespace in (left, owned):
            await add_namespace(namespace)
        forgotten = await asyncio.create_subprocess_exec("ip", "netns", "exec", left, "sleep", "1000")
        await wait_until(lambda: output_of("ip", "netns", "pids", left), "something runs there")
        await _kill(owner)
        async with two_nodes():
            await wait_until(lambda: _is_gone(left), "the dead one's is deleted")  # other tests do it as well
            assert not await _is_gone(owned)
        assert await forgotten.wait() == -signal.SIGKILL
    finally:
        await _kill(owner)
        for namespace in (left, owned):
            delete_namespace(namespace)


async def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()


async def _is_gone(namespace: str) -> bool:
    return namespace not in await output_of("ip", "netns", "list")


async def test_the_issue_input_runs_as_it_is_written(nodes: tuple[NodeProxy, NodeProxy], tmp_path: Path) -> None:
    """Port 80 of 127.96.0.10 and admin on 15000, in a namespace where nobody else has them."""
    node = nodes[0].node
    backend = SocketAddress("127.0.1.1", 8080)
    command = (*node.prefix, *nginx("backend-1", backend, tmp_path))
    proxy = nodes[0]
    proxy.admin = SocketAddress("127.0.0.1", 15000)
    proxy.write("manifests.yaml", ISSUE)
    async with running(*command, directory=tmp_path, listens=backend, reached_by=node.prefix):
        await proxy.start()
        assert await _answers(proxy) == {"backend-1": 6}


ISSUE = """\
apiVersion: meshproxy.dev/v1
kind: Proxy
metadata: {name: demo}
spec:
  workers: 1
  admin: {address: 127.0.0.1:15000}
  serviceCIDR: 127.96.0.0/12
---
apiVersion: v1
kind: Service
metadata: {name: backend}
spec:
  clusterIP: 127.96.0.10
  selector: {app: backend}
  ports: [{name: http, port: 80, targetPort: http}]
---
apiVersion: meshproxy.dev/v1
kind: Workload
metadata: {name: backend-1, labels: {app: backend}}
spec: {address: 127.0.1.1, ports: {http: 8080}, weight: 100, zone: a, hostname: backend-1, serviceAccount: backend}
---
apiVersion: meshproxy.dev/v1
kind: TrafficPolicy
metadata: {name: backend}
spec:
  targetRefs: [{kind: Service, name: backend}]
  loadBalancing: {algorithm: LeastConnections}
  healthCheck: {tcp: {}, interval: 1s, timeout: 500ms, unhealthyThreshold: 2, healthyThreshold: 1}
  outlierDetection: {consecutiveFailures: 5, interval: 10s, baseEjectionTime: 30s, maxEjectionPercent: 50}
  connections: {max: 1024, connectTimeout: 1s, idleTimeout: 1h}
"""
