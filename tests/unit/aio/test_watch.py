from __future__ import annotations

import asyncio

from meshproxy.aio.watch import Watch

DEADLINE = 10


async def test_followers_see_what_is_and_then_the_newest() -> None:
    watch = Watch(1)
    updates = watch.updates()
    assert await anext(updates) == 1
    watch.set(2)
    watch.set(3)
    assert await anext(updates) == 3
    assert watch.value == 3


async def test_a_follower_that_waits_is_woken() -> None:
    watch: Watch[str | None] = Watch(None)
    seen: list[str] = []

    async def follow() -> None:
        async for value in watch.updates():
            if value is not None:
                seen.append(value)
                return

    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(follow())
        await asyncio.sleep(0)
        watch.set("here")
    assert seen == ["here"] * 3


async def test_an_equal_value_is_no_change() -> None:
    watch = Watch((1,))
    updates = watch.updates()
    await anext(updates)

    async def following() -> tuple[int]:
        return await anext(updates)

    waiting = asyncio.get_running_loop().create_task(following())
    watch.set((1,))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    watch.set((2,))
    async with asyncio.timeout(DEADLINE):
        assert await waiting == (2,)
