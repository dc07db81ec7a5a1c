"""A source of identities that runs in a test, and what it emitted."""

from __future__ import annotations

import asyncio

from meshproxy.identity.sources.api import IdentitySource, Trouble
from meshproxy.snapshot.identity import Identity

DEADLINE = 20


class RunningSource:
    """Runs from its making until `stop`."""

    def __init__(self, source: IdentitySource) -> None:
        self.source = source
        self.found: asyncio.Queue[Identity | Trouble] = asyncio.Queue()
        self.task = asyncio.get_running_loop().create_task(source.run(self.found.put_nowait))

    async def next(self) -> Identity | Trouble:
        """What it emits next; fails where it ends instead."""
        waiting = asyncio.get_running_loop().create_task(self.found.get())
        await asyncio.wait({waiting, self.task}, timeout=DEADLINE, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
        waiting.cancel()
        if self.task.done():
            await self.task
        raise AssertionError("the source emits nothing")

    async def identity(self) -> Identity:
        found = await self.next()
        assert isinstance(found, Identity), found
        return found

    async def trouble(self) -> str:
        found = await self.next()
        assert isinstance(found, Trouble), found
        return found.message

    async def until_identity(self, other_than: Identity | None = None) -> Identity:
        """Take what comes until there is an identity, with another certificate than one that is known."""
        while True:
            found = await self.next()
            if isinstance(found, Identity) and (other_than is None or found.serial != other_than.serial):
                return found

    async def until_trouble(self) -> str:
        while True:
            found = await self.next()
            if isinstance(found, Trouble):
                return found.message

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
