"""What of the data plane is alive, by its reference counts alone."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.http import HTTPClient, HTTPPlane

OURS = "meshproxy.dataplane."
SHARED = {"Upstream", "RequestCounters", "CallerCounters", "ServerContext", "UpstreamContext"}
"""What endpoints, rules, callers and settings keep of the requests that they had."""


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def alive() -> Counter[str]:
    names = (f"{type(each).__module__}.{type(each).__name__}" for each in gc.get_objects())
    return Counter(name for name in names if name.startswith(OURS) and name.rpartition(".")[2] not in SHARED)


async def until_alone(plane: HTTPPlane, before: Counter[str]) -> None:
    """Wait until nothing is there that was not there `before`."""
    left = alive() - before
    for _ in range(100):
        for cluster in plane.plane._clusters.values():
            cluster.pool.close_idle()
        if not left:
            return
        await asyncio.sleep(0.01)
        left = alive() - before
    pytest.fail(f"left behind: {left}")


async def hang_up(plane: HTTPPlane, client: HTTPClient) -> None:
    plane.clients.remove(client)
    client.writer.transport.abort()
    await client.close()
