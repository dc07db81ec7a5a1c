"""Who gets how much, through a real proxy."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from meshproxy.base.addresses import SocketAddress
from tests.integration.addresses import free_host
from tests.integration.backends import Backend, make_backends
from tests.integration.clients import Client, shares, who_answers
from tests.integration.conditions import wait_until
from tests.integration.manifests import make_policy, make_tcp_service, make_workload
from tests.integration.proxy_process import ProxyProcess


async def _serve(
    stack: AsyncExitStack, proxy: ProxyProcess, address: SocketAddress, algorithm: str, weights: tuple[int, ...]
) -> list[Backend]:
    backends = [await stack.enter_async_context(backend) for backend in make_backends(len(weights))]
    pairs = zip(backends, weights, strict=True)
    proxy.configure(
        make_tcp_service(address),
        *(make_workload(backend.address, backend.name, weight=weight) for backend, weight in pairs),
        make_policy(loadBalancing={"algorithm": algorithm}),
    )
    await proxy.start()
    return backends


@pytest.fixture
async def stack(proxy: ProxyProcess) -> AsyncIterator[AsyncExitStack]:
    """Closed before `proxy`, which would wait for what is open."""
    async with AsyncExitStack() as stack:
        yield stack


async def test_round_robin_gives_equal_shares(
    stack: AsyncExitStack, proxy: ProxyProcess, address: SocketAddress
) -> None:
    await _serve(stack, proxy, address, "RoundRobin", (100, 100, 100))
    assert await shares(address, 30) == {"backend-1": 10, "backend-2": 10, "backend-3": 10}


async def test_weights_count_and_zero_means_none(
    stack: AsyncExitStack, proxy: ProxyProcess, address: SocketAddress
) -> None:
    await _serve(stack, proxy, address, "wrr", (100, 300, 0))
    assert await shares(address, 40) == {"backend-1": 10, "backend-2": 30}


async def test_least_connections_passes_over_the_busy(
    stack: AsyncExitStack, proxy: ProxyProcess, address: SocketAddress
) -> None:
    await _serve(stack, proxy, address, "LeastConnections", (100, 100, 100))
    clients = [await stack.enter_async_context(await Client.connect(address)) for _ in range(9)]
    held = Counter(client.name for client in clients)
    assert held == {"backend-1": 3, "backend-2": 3, "backend-3": 3}


async def test_least_connections_returns_to_who_became_idle(
    stack: AsyncExitStack, proxy: ProxyProcess, address: SocketAddress
) -> None:
    backends = await _serve(stack, proxy, address, "LeastConnections", (100, 100))
    clients = [await stack.enter_async_context(await Client.connect(address)) for _ in range(8)]
    gone = [client for client in clients if client.name == "backend-2"]
    for client in gone:
        await client.close()
    await wait_until(lambda: backends[1].connections == 0, "backend-2 is idle")
    held = [await stack.enter_async_context(await Client.connect(address)) for _ in range(len(gone))]
    assert {client.name for client in held} == {"backend-2"}


@pytest.mark.parametrize("algorithm", ["SourceHash", "Maglev"])
async def test_a_hash_leads_each_client_to_one_backend(
    stack: AsyncExitStack, proxy: ProxyProcess, address: SocketAddress, algorithm: str
) -> None:
    await _serve(stack, proxy, address, algorithm, (100, 100, 100))
    sources = [free_host() for _ in range(40)]
    first = {source: await who_answers(address, source) for source in sources}
    assert {source: await who_answers(address, source) for source in sources} == first
    assert len(set(first.values())) == 3, "forty clients lie on all three backends"


@pytest.mark.parametrize("algorithm", ["Random", "LeastRequest"])
async def test_random_choices_reach_every_backend(
    stack: AsyncExitStack, proxy: ProxyProcess, address: SocketAddress, algorithm: str
) -> None:
    await _serve(stack, proxy, address, algorithm, (100, 100, 100))
    counted = await shares(address, 120)
    assert len(counted) == 3
    assert min(counted.values()) >= 12, "less than a tenth has a chance below one in a billion"
