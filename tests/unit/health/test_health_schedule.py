"""What is due when."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from meshproxy.health.schedule import SPARE, Schedule


class FakeClock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def due(schedule: Schedule[str]) -> list[str]:
    """What is due by now, in order."""
    keys: list[str] = []
    while True:
        task = asyncio.get_running_loop().create_task(schedule.next_due())
        await asyncio.sleep(0)
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return keys
        keys.append(task.result())


async def test_keys_come_when_they_are_due_and_once() -> None:
    clock = FakeClock()
    schedule: Schedule[str] = Schedule(clock)
    for key, at in (("c", 3.0), ("a", 1.0), ("b", 2.0), ("b2", 2.0)):
        schedule.put(key, at)
    assert await due(schedule) == []
    clock.now = 2.0
    assert await due(schedule) == ["a", "b", "b2"]
    clock.now = 10.0
    assert await due(schedule) == ["c"]
    assert len(schedule) == 0


async def test_a_key_is_moved_and_removed() -> None:
    clock = FakeClock()
    schedule: Schedule[str] = Schedule(clock)
    for key in ("later", "sooner", "gone"):
        schedule.put(key, 5.0)
    schedule.put("later", 9.0)
    schedule.put("sooner", 1.0)
    schedule.remove("gone")
    schedule.remove("never there")
    assert ("gone" in schedule, sorted(schedule)) == (False, ["later", "sooner"])
    clock.now = 1.0
    assert await due(schedule) == ["sooner"]
    clock.now = 8.0
    assert await due(schedule) == []
    clock.now = 9.0
    assert await due(schedule) == ["later"]


@pytest.mark.parametrize("already", [None, 3600.0])
async def test_an_earlier_key_wakes_the_waiter(already: float | None) -> None:
    loop = asyncio.get_running_loop()
    schedule: Schedule[str] = Schedule(loop.time)
    if already is not None:
        schedule.put("later", loop.time() + already)
    waiting = loop.create_task(schedule.next_due())
    await asyncio.sleep(0)
    schedule.put("now", loop.time() + 0.01)
    async with asyncio.timeout(10):
        assert await waiting == "now"


async def test_it_agrees_with_a_dictionary_and_stays_small() -> None:
    random, clock = Random(1), FakeClock()
    schedule: Schedule[str] = Schedule(clock)
    model: dict[str, float] = {}
    for step in range(2000):
        key = str(random.randrange(20))
        if random.random() < 0.7:
            model[key] = clock.now + random.randrange(1, 1000)
            schedule.put(key, model[key])
        else:
            model.pop(key, None)
            schedule.remove(key)
        assert len(schedule._heap) <= 2 * 20 + SPARE + 1
        if step % 100 == 99:
            clock.now += 200
            expected = sorted((at, key) for key, at in model.items() if at <= clock.now)
            taken = await due(schedule)
            assert sorted((model[key], key) for key in taken) == expected
            assert [model[key] for key in taken] == [at for at, _ in expected], "the earliest first"
            for key in taken:
                del model[key]
