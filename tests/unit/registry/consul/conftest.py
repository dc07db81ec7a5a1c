"""A real agent for all tests here, empty before each, and sources that end with their test."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from meshproxy.registry.consul.agent import ConsulAgent
from meshproxy.registry.consul.catalog import CatalogSource
from meshproxy.registry.consul.kv import KVSource
from meshproxy.resources.sources import ConsulKV, ConsulSource
from meshproxy.resources.update import Source
from tests.support.consul import ConsulServer
from tests.support.sources import Heard

MASTER = "00000000-0000-0000-0000-000000000001"
"""The token that may do everything, where there are ACLs."""


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsulServer]:
    with ConsulServer(tmp_path_factory.mktemp("consul")) as server:
        yield server


@pytest.fixture(scope="session")
def acl_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsulServer]:
    """An agent that denies what no token allows."""
    acl = {"enabled": True, "default_policy": "deny", "tokens": {"master": MASTER, "agent": MASTER}}
    with ConsulServer(tmp_path_factory.mktemp("consul"), acl=acl) as server:
        yield server


@pytest.fixture
def consul(shared_server: ConsulServer) -> ConsulServer:
    shared_server.clear()
    return shared_server


Listen = Callable[[Source], Heard]
Follow = Callable[..., Heard]


@pytest.fixture
async def listen() -> AsyncIterator[Listen]:
    """Runs sources, and ends them."""
    running: list[Heard] = []

    def start(source: Source) -> Heard:
        running.append(Heard(source))
        return running[-1]

    yield start
    for each in running:
        each.task.cancel()
    await asyncio.gather(*(each.task for each in running), return_exceptions=True)


@pytest.fixture
def follow(listen: Listen) -> Follow:
    """Runs a catalogue source for a `ConsulSource` of these fields."""

    def start(**fields: Any) -> Heard:
        spec = ConsulSource(**fields)
        return listen(CatalogSource("consul", spec, ConsulAgent(spec), random.Random(1).random))

    return start


@pytest.fixture
def follow_kv(listen: Listen) -> Follow:
    """Runs a source of the keys under ``mesh`` for a `ConsulSource` of these fields."""

    def start(**fields: Any) -> Heard:
        spec = ConsulSource(**fields)
        kv = ConsulKV(prefix="mesh")
        return listen(KVSource("consul/kv", spec, kv, ConsulAgent(spec), random.Random(1).random))

    return start
