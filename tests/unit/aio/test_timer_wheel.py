"""The wheel against a clock that the test moves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import cast

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


class FakeTimer:
    """What `FakeLoop` will call."""

    def __init__(self, when: float, callback: Callable[[], None], due: list[FakeTimer]) -> None:
        self.when = when
        self.callback = callback
        self._due = due
        due.append(self)

    def cancel(self) -> None:
        if self in self._due:
            self._due.remove(self)


class FakeLoop:
    """A loop that does nothing but call what is due as the test moves its clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self._due: list[FakeTimer] = []

    def call_at(self, when: float, callback: Callable[[], None]) -> FakeTimer:
        return FakeTimer(when, callback, self._due)

    def run_until(self, end: float) -> None:
        """Call each in time, or late where callbacks take time themselves."""
        while self._due and (timer := min(self._due, key=lambda each: each.when)).when <= end:
            timer.cancel()
            self.clock.now = max(self.clock.now, timer.when) + 1e-6  # as real ones move on
            timer.callback()
        self.clock.now = max(self.clock.now, end)


def make_driven_wheel() -> tuple[TimerWheel, FakeLoop]:
    loop = FakeLoop()
    wheel = TimerWheel(loop.clock, TICK)
    wheel.start(cast("asyncio.AbstractEventLoop", loop))
    return wheel, loop


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


@given(st.lists(st.tuples(st.floats(0, 30), st.floats(0, 30), st.sampled_from([0.0, 0.03, 0.5])), max_size=20))
def test_timers_that_timers_schedule_hinder_none(timers: list[tuple[float, float, float]]) -> None:
    """Each that fires takes its time and schedules another: none is later than the time that all of them took."""
    wheel, loop = make_driven_wheel()
    lateness: list[float] = []
    slack = sum(takes for _, _, takes in timers) + 3 * TICK

    def schedule(delay: float, then: Callable[[], None]) -> None:
        due = loop.clock.now + delay

        def fire() -> None:
            lateness.append(loop.clock.now - due)
            then()

        wheel.schedule(delay, fire)

    def take(seconds: float, after: float) -> None:
        loop.clock.now += seconds
        schedule(after, lambda: None)

    for first, after, takes in timers:
        schedule(first, partial(take, takes, after))
    loop.run_until(loop.clock.now + 61 + slack)
    assert len(lateness) == 2 * len(timers)
    assert all(0 <= late <= slack for late in lateness)


def test_what_a_timer_schedules_for_later_does_not_delay_those_between() -> None:
    """As a connection does that waited for its client's first bytes: its idle timeout is an hour."""
    wheel, loop = make_driven_wheel()
    fired: list[str] = []

    def speak() -> None:
        wheel.schedule(3600, lambda: fired.append("hour"))

    wheel.schedule(0.1, speak)
    wheel.schedule(0.2, lambda: fired.append("next"))
    loop.run_until(loop.clock.now + 1)
    assert fired == ["next"]


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
