"""The wheel against a clock that the test moves."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.aio.timer_wheel import SLOTS, TimerWheel

TICK = 0.02


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make_wheel() -> tuple[TimerWheel, FakeClock]:
    clock = FakeClock()
    return TimerWheel(clock, TICK), clock


@given(st.lists(st.tuples(st.floats(0, 60), st.booleans()), max_size=30), st.floats(0.01, 5))
def test_each_fires_once_never_early_and_at_most_a_tick_late(timers: list[tuple[float, bool]], step: float) -> None:
    wheel, clock = make_wheel()
    start, fired = clock.now, dict[int, list[float]]()

    def record(number: int) -> None:
        fired.setdefault(number, []).append(clock.now - start)

    for number, (delay, cancelled) in enumerate(timers):
        timer = wheel.schedule(delay, partial(record, number))
        if cancelled:
            timer.cancel()
    while clock.now < start + 61:
        clock.now += step
        wheel.advance(clock.now)
    assert fired.keys() == {number for number, (_, cancelled) in enumerate(timers) if not cancelled}
    for number, times in fired.items():
        (at,) = times
        assert timers[number][0] <= at <= timers[number][0] + step + 2 * TICK


def test_timers_of_later_rounds_stay() -> None:
    wheel, clock = make_wheel()
    fired: list[str] = []
    wheel.schedule(TICK * SLOTS * 2 + TICK, lambda: fired.append("late"))
    wheel.schedule(TICK, lambda: fired.append("soon"))
    clock.now += TICK * 10
    wheel.advance(clock.now)
    assert fired == ["soon"]
    clock.now += TICK * SLOTS * 2
    wheel.advance(clock.now)
    assert fired == ["soon", "late"]


def test_a_timer_may_cancel_another_that_is_due_at_once() -> None:
    wheel, clock = make_wheel()
    fired: list[str] = []
    second = wheel.schedule(0.15, lambda: fired.append("second"))
    wheel.schedule(0.1, second.cancel)
    wheel.schedule(0.1, lambda: fired.append("first"))
    clock.now += 1
    wheel.advance(clock.now)
    assert fired == ["first"]


def test_a_callback_that_fails_is_logged_and_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    wheel, clock = make_wheel()
    fired: list[str] = []
    wheel.schedule(0.1, [].pop)
    wheel.schedule(0.2, lambda: fired.append("next"))
    clock.now += 1
    with caplog.at_level(logging.ERROR):
        wheel.advance(clock.now)
    assert fired == ["next"]
    assert "callback failed" in caplog.text


async def test_it_drives_itself_and_an_earlier_timer_goes_first() -> None:
    loop = asyncio.get_running_loop()
    wheel = TimerWheel(loop.time)
    wheel.start(loop)
    order: list[str] = []
    done = asyncio.Event()
    wheel.schedule(0.2, lambda: order.append("second"))
    wheel.schedule(0.25, done.set)
    wheel.schedule(0.05, lambda: order.append("first"))
    async with asyncio.timeout(10):
        await done.wait()
    assert order == ["first", "second"]
    wheel.stop()
