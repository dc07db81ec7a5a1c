"""The Docker source: follows one engine for as long as it is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

import aiohttp

from meshproxy.base.backoff import Backoff
from meshproxy.base.errors import Finding, Severity
from meshproxy.registry.docker.client import DockerClient, DockerError
from meshproxy.registry.docker.inventory import Inventory
from meshproxy.registry.docker.networks import reach_from
from meshproxy.registry.docker.translate import Translation, Translator
from meshproxy.resources.sources import DockerSource
from meshproxy.resources.update import SourceUpdate

RETRY_DELAYS = (0.1, 5.0)
"""Seconds until an engine that failed is tried again, at first and at most."""
RESYNC = 60.0
"""Seconds after which everything is listed again, whatever events said or did not say."""
MAX_ASKED = 20
"""More containers than these at once are looked at by listing all."""


class DockerContainers:
    """Implements `resources.update.Source` for an engine's containers.

    `own_id` is the id of the container that this process runs in, or "". The stream of events is opened
    before the list is asked for: what happens in between is in one of them.
    """

    def __init__(
        self, name: str, source: DockerSource, own_id: str, random: Callable[[], float], clock: Callable[[], float]
    ) -> None:
        self._name = name
        self._source = source
        self._own_id = own_id
        self._clock = clock
        self._backoff = Backoff(*RETRY_DELAYS, random)
        self._inventory = Inventory()
        self._translator = Translator(source.namespace, source.gateway or "")
        self._translation = Translation((), (), {})
        self._problems: tuple[str, ...] = ()
        self._since = 0
        self._wake = asyncio.Event()
        parts = urlsplit(source.endpoint)
        self._host = source.host_address or parts.hostname or ""

    @property
    def name(self) -> str:
        return self._name

    def refresh(self) -> None:
        self._inventory.look_again()
        self._wake.set()

    async def run(self, emit: Callable[[SourceUpdate], None]) -> None:
        while True:
            self._inventory.begin_again()
            try:
                async with DockerClient(self._source) as client:
                    await self._follow(client, emit)
            except DockerError as error:
                emit(SourceUpdate(source=self._name, resources=None, problem=str(error)))
            await self._pause()

    async def _follow(self, client: DockerClient, emit: Callable[[SourceUpdate], None]) -> None:
        """List and listen until something fails; raises `DockerError`."""
        response = await client.events(self._since + 1 if self._since else 0)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(client, response, emit), name=f"events of {self._name}")
                group.create_task(self._keep_listing(client, emit), name=f"lists of {self._name}")
        except* DockerError as errors:
            raise DockerError(str(errors.exceptions[0])) from errors
        finally:
            response.close()

    async def _pause(self) -> None:
        self._wake.clear()
        await self._is_woken(self._backoff.next_delay())

    # -- events --------------------------------------------------------------------------

    async def _listen(
        self, client: DockerClient, response: aiohttp.ClientResponse, emit: Callable[[SourceUpdate], None]
    ) -> None:
        async for event in client.read_events(response):
            self._since = max(self._since, event.nanoseconds)
            if self._inventory.apply(event, self._clock()):
                self._emit(emit)
            self._wake.set()

    # -- lists ---------------------------------------------------------------------------

    async def _keep_listing(self, client: DockerClient, emit: Callable[[SourceUpdate], None]) -> None:
        while True:
            self._wake.clear()
            pause = self._inventory.next_look(self._clock())
            if pause == 0:
                await self._list(client)
                self._backoff.reset()
                self._emit(emit)
            elif not await self._is_woken(RESYNC if pause is None else pause) and pause is None:
                self._inventory.look_again()

    async def _is_woken(self, within: float) -> bool:
        """Wait for `_wake` for so many seconds."""
        try:
            async with asyncio.timeout(within):
                return await self._wake.wait()
        except TimeoutError:
            return False

    async def _list(self, client: DockerClient) -> None:
        ids = self._inventory.take_unseen(MAX_ASKED, self._clock())
        listing = await client.containers(ids)
        self._inventory.listed(ids, listing.containers, self._clock())
        if ids is None or listing.problems:
            self._problems = listing.problems

    # -- what is said --------------------------------------------------------------------

    def _emit(self, emit: Callable[[SourceUpdate], None]) -> None:
        """Say what there is now, and which of it was seen to end."""
        before = self._translation.names
        containers = self._inventory.containers
        reach = reach_from(
            containers,
            self._own_id,
            network=self._source.network or "",
            host=self._host,
            published=self._source.published_ports,
        )
        self._translation = now = self._translator.translate(containers, self._inventory.stopping, reach)
        gone = frozenset(before[each] for each in self._inventory.take_ended() if each in before)
        ended = gone - frozenset(now.names.values())
        findings = (*(_left_out(problem) for problem in self._problems), *now.findings)
        emit(SourceUpdate(source=self._name, resources=now.resources, findings=findings, ended=ended))


def _left_out(problem: str) -> Finding:
    return Finding(severity=Severity.WARNING, message=problem)
