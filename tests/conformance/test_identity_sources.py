"""What every identity source does (`identity.sources.api`), whatever it reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest

from meshproxy.identity.sources.api import IdentitySource
from meshproxy.identity.sources.ca import CAIdentitySource
from meshproxy.identity.sources.consul import ConsulIdentitySource
from meshproxy.identity.sources.consul_agent import ConsulAgent
from meshproxy.identity.sources.files import FilesIdentitySource
from meshproxy.identity.sources.surroundings import Surroundings
from meshproxy.identity.svid import Wanted, make_identity
from meshproxy.snapshot.identity import FromCA, FromConsul, FromFiles
from tests.support.authority import MadeCA
from tests.support.certificates import TestCA, service_account
from tests.support.clock import FakeWallClock
from tests.support.consul import ConsulServer
from tests.support.identity import RunningSource

WANTED = Wanted(service_account="web", namespace="default")


class World(Protocol):
    """What a source reads, which can break and be mended."""

    @property
    def source(self) -> IdentitySource: ...

    async def break_it(self) -> None: ...

    async def mend_it(self) -> None: ...


class Files:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ca = TestCA(intermediate=True)
        self._write()
        files = FromFiles(**{name: str(directory / name) for name in ("certificate", "key", "roots")})
        self.source = FilesIdentitySource(files, WANTED, FakeWallClock())

    def _write(self) -> None:
        issued = self._ca.issue(service_account("web"))
        texts = {"certificate": issued.certificate_pem, "key": issued.key_pem, "roots": self._ca.bundle}
        for name, text in texts.items():
            (self._directory / name).write_text(text)

    async def break_it(self) -> None:
        (self._directory / "key").write_text("")

    async def mend_it(self) -> None:
        self._write()


class OurCA:
    def __init__(self, directory: Path, stack: AsyncExitStack) -> None:
        self._ca = MadeCA(directory / "certs", FakeWallClock())
        self._served = AsyncExitStack()
        self._stack = stack
        (directory / "token").write_text(self._ca.token())
        self._directory = directory

    async def start(self) -> None:
        self._server = await self._served.enter_async_context(self._ca.served())
        self._stack.push_async_exit(self._served)
        self._address = self._server.address
        settings = FromCA(
            url=f"https://localhost:{self._address.port}",
            roots=str(self._ca.roots),
            token_file=str(self._directory / "token"),
        )
        surroundings = Surroundings(self._ca.clock, lambda: 0.0)
        self.source = CAIdentitySource(settings, WANTED, surroundings, self._directory / "state")

    async def break_it(self) -> None:
        await self._served.aclose()
        self.source.refresh()

    async def mend_it(self) -> None:
        await self._served.enter_async_context(self._ca.served(self._address))
        self.source.refresh()


class Consul:
    def __init__(self, server: ConsulServer) -> None:
        self._server = server
        surroundings = Surroundings(FakeWallClock(), lambda: 0.0)
        self.source = ConsulIdentitySource(ConsulAgent(FromConsul(address=server.address), ""), WANTED, surroundings)

    async def break_it(self) -> None:
        self._server.stop()

    async def mend_it(self) -> None:
        self._server.start()
        self.source.refresh()


@pytest.fixture(params=["files", "ca", "consul"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        match request.param:
            case "files":
                yield Files(tmp_path)
            case "ca":
                made = OurCA(tmp_path, stack)
                await made.start()
                yield made
            case "consul":
                settings = {"connect": {"enabled": True}}
                yield Consul(stack.enter_context(ConsulServer(tmp_path / "consul", **settings)))


@pytest.fixture
async def running(world: World) -> AsyncIterator[RunningSource]:
    made = RunningSource(world.source)
    yield made
    await made.stop()


async def test_it_emits_an_identity_that_peers_accept(world: World, running: RunningSource) -> None:
    identity = await running.identity()
    chain, key, roots = identity.certificate_chain, identity.private_key, identity.trust_bundle
    again = make_identity(chain.encode(), key.encode(), roots.encode(), FakeWallClock()(), WANTED)
    assert again == identity
    assert identity.spiffe_id.endswith("/web")
    assert identity.trust_domain in identity.spiffe_id


async def test_what_is_at_hand_is_what_it_emits(world: World, running: RunningSource) -> None:
    at_hand = world.source.at_hand()
    assert at_hand in (None, await running.identity())


async def test_trouble_is_emitted_and_is_over_by_itself(world: World, running: RunningSource) -> None:
    await running.identity()
    await world.break_it()
    assert await running.until_trouble()
    await world.mend_it()
    assert (await running.until_identity()).spiffe_id.endswith("/web")


async def test_it_starts_with_trouble_and_goes_on(world: World) -> None:
    await world.break_it()
    running = RunningSource(world.source)
    try:
        assert await running.until_trouble()
        await world.mend_it()
        await running.until_identity()
    finally:
        await running.stop()


async def test_it_ends_when_it_is_cancelled_and_not_before(world: World, running: RunningSource) -> None:
    await running.identity()
    assert not running.task.done()
    running.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running.task


async def test_a_refresh_before_the_start_is_no_harm(world: World) -> None:
    world.source.refresh()
    running = RunningSource(world.source)
    try:
        await running.identity()
    finally:
        await running.stop()


def test_names_are_words(world: World) -> None:
    assert world.source.name in ("files", "ca", "consul")
