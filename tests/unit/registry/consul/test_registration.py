"""Services of this machine in a real agent."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.processes import free_port
from meshproxy.base.events import Event
from meshproxy.loader.explain import decode_special
from meshproxy.registry.consul import registrations as module
from meshproxy.registry.consul.agent import ConsulAgent
from meshproxy.registry.consul.registrations import Registrations
from meshproxy.resources.proxy import ProxySpec
from tests.support.consul import ConsulServer

DEADLINE = 20


class Kept(Registrations):
    """Registrations of this test, and the events of them."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        super().__init__(ConsulAgent, "here", random.Random(1).random, self.events.append)

    def want(self, server: ConsulServer, *services: dict[str, Any]) -> None:
        document = {"sources": [{"consul": {"address": server.address}}], "register": services}
        self.apply(msgspec.convert(document, ProxySpec, dec_hook=decode_special))

    def reasons(self) -> list[str]:
        return [event.reason for event in self.events]


@pytest.fixture
async def kept(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kept]:
    monkeypatch.setattr(module, "LINGER", 0.0)
    made = Kept()
    made.start()
    yield made
    await made.end()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.01)


def status_of(server: ConsulServer, id: str) -> str:  # noqa: A002
    """The status of the check of instance `id`."""
    checks = server.get("/v1/agent/checks")
    status: str = checks.get(f"service:{id}", {}).get("Status", "")
    return status


async def test_it_is_registered_as_it_is_written(consul: ConsulServer, kept: Kept) -> None:
    wanted = {"name": "web", "port": 8080, "tags": ["v1"], "meta": {"version": "1"}, "weights": {"passing": 5}}
    kept.want(consul, wanted)
    await until(consul.services)
    found = consul.services()["web-here-8080"]
    assert (found["Service"], found["Port"], found["Tags"]) == ("web", 8080, ["v1"])
    assert (found["Meta"], found["Weights"]) == ({"version": "1"}, {"Passing": 5, "Warning": 1})
    await until(lambda: kept.states()[0].registered)
    assert kept.reasons() == ["Registered"]


async def test_changes_of_the_configuration_are_followed(consul: ConsulServer, kept: Kept) -> None:
    kept.want(consul, {"name": "a", "port": 1}, {"name": "b", "port": 2})
    await until(lambda: set(consul.services()) == {"a-here-1", "b-here-2"})
    kept.want(consul, {"name": "b", "port": 2, "tags": ["new"]}, {"name": "c", "port": 3, "id": "c"})
    await until(lambda: set(consul.services()) == {"b-here-2", "c"})
    await until(lambda: consul.services()["b-here-2"]["Tags"] == ["new"])
    await kept.end()
    assert consul.services() == {}


async def test_one_that_moves_to_another_agent_leaves_the_one_before(
    consul: ConsulServer, tmp_path: Path, kept: Kept
) -> None:
    with ConsulServer(tmp_path / "other") as other:
        kept.want(consul, {"name": "web", "port": 8080})
        await until(consul.services)
        kept.want(other, {"name": "web", "port": 8080})
        await until(lambda: (set(consul.services()), set(other.services())) == (set(), {"web-here-8080"}))
        await kept.end()


async def test_somebody_else_takes_it_out_or_changes_it(consul: ConsulServer, kept: Kept) -> None:
    kept.want(consul, {"name": "web", "port": 8080})
    await until(consul.services)
    consul.deregister("web-here-8080")
    await until(consul.services)
    consul.register("web", "web-here-8080", Port=1)
    await until(lambda: consul.services()["web-here-8080"]["Port"] == 8080)


async def test_an_agent_that_forgets_is_told_again(tmp_path: Path, kept: Kept) -> None:
    with ConsulServer(tmp_path / "agent") as server:
        kept.want(server, {"name": "web", "port": 8080, "check": {"ttl": "20s", "interval": "1s"}})
        await until(server.services)
        server.stop(forget=True)
        await until(lambda: kept.states()[0].problem)
        assert not kept.states()[0].registered
        assert kept.reasons()[-1] == "RegistrationFailing"
        await asyncio.to_thread(server.start)
        await until(lambda: status_of(server, "web-here-8080") == "passing")
        await until(lambda: kept.states()[0].registered)


async def test_the_address_towards_the_agent_is_found_out(consul: ConsulServer, kept: Kept) -> None:
    port = free_port()
    check = {"tcp": {}, "ttl": "10s", "interval": "100ms", "timeout": "1s"}
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port):
        kept.want(consul, {"name": "web", "port": port, "address": "auto", "check": check})
        await until(lambda: status_of(consul, f"web-here-{port}") == "passing")
    assert consul.services()[f"web-here-{port}"]["Address"] == "127.0.0.1"
    await until(lambda: kept.states()[0].registered)
    assert kept.reasons() == ["Registered"], "it is found to be as it is wanted"


async def test_no_way_to_the_agent_is_a_problem_that_is_said(kept: Kept) -> None:
    kept.apply(
        msgspec.convert(
            {
                "sources": [{"consul": {"address": "http://no-such-host.invalid:8500"}}],
                "register": [{"name": "web", "port": 1, "address": "auto"}],
            },
            ProxySpec,
            dec_hook=decode_special,
        )
    )
    await until(lambda: kept.states()[0].problem)
    assert "the way to http://no-such-host.invalid:8500 is not known" in kept.states()[0].problem


async def test_our_own_check_keeps_the_ttl(consul: ConsulServer, kept: Kept) -> None:
    port = free_port()
    check = {"http": {"path": "/healthz"}, "ttl": "10s", "interval": "100ms", "timeout": "1s"}
    kept.want(consul, {"name": "web", "port": port, "check": check})
    await until(lambda: kept.states()[0].health == "critical: connect refused")
    assert status_of(consul, f"web-here-{port}") == "critical"
    answer = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"GET /healthz ")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", port):
        await until(lambda: status_of(consul, f"web-here-{port}") == "passing")
        await until(lambda: kept.states()[0].health == "passing")
        answer = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
        await until(lambda: status_of(consul, f"web-here-{port}") == "critical")
        await until(lambda: kept.states()[0].health == "critical: HTTP 500, expected 200-299")


@pytest.mark.parametrize("check", [{"tcp": {}}, {"http": {"path": "/"}}])
async def test_the_agent_checks(consul: ConsulServer, kept: Kept, check: dict[str, Any]) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    gone = {"deregisterCriticalServiceAfter": "1m"}
    kept.want(consul, {"name": "web", "port": port, "check": {**check, **gone, "interval": "1s"}})
    async with server:
        await until(lambda: status_of(consul, f"web-here-{port}") == "passing")
    await until(lambda: status_of(consul, f"web-here-{port}") == "critical")
    assert kept.states()[0].health == ""


async def test_an_agent_that_is_away_at_the_end_does_not_hold_it_up(
    tmp_path: Path, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEAVE_TIMEOUT", 0.2)
    with ConsulServer(tmp_path / "agent") as server:
        kept.want(server, {"name": "web", "port": 8080})
        await until(lambda: kept.states() and kept.states()[0].registered)
        server.pause(True)
        started = asyncio.get_running_loop().time()
        await kept.end()
        assert asyncio.get_running_loop().time() - started < module.LEAVE_TIMEOUT + 1
        server.pause(False)
