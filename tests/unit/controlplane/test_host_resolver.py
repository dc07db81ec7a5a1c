"""Names are followed: again after their time, through failures, and no longer than they are wanted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from meshproxy.base.events import Event
from meshproxy.controlplane import host_resolver
from meshproxy.controlplane.host_resolver import Found, HostResolver, LookupFailed
from meshproxy.controlplane.hostnames import Answer

FIRST, SECOND = ("10.0.0.1",), ("10.0.0.2",)


class Names:
    """A lookup that answers what it is told; each answer ends the wait of `asked`."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[str, ...] | str] = {}
        self.asked: list[str] = []
        self._asked = asyncio.Condition()

    async def __call__(self, name: str) -> Found:
        self.asked.append(name)
        async with self._asked:
            self._asked.notify_all()
        answer = self.answers.get(name, "NXDOMAIN")
        if isinstance(answer, str):
            raise LookupFailed(answer)
        return Found(answer, 600.0)

    async def wait_asked(self, times: int) -> None:
        async with asyncio.timeout(10), self._asked:
            await self._asked.wait_for(lambda: len(self.asked) >= times)


class Following:
    """A resolver with what it says."""

    def __init__(self) -> None:
        self.names = Names()
        self.events: list[Event] = []
        self.changes = asyncio.Semaphore(0)
        self.resolver = HostResolver(self.names, lambda: 0.0, self.events.append, self.changes.release)

    async def change(self) -> None:
        async with asyncio.timeout(10):
            await self.changes.acquire()


@pytest.fixture
async def following(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Following]:
    monkeypatch.setattr(host_resolver, "TTL_BOUNDS", (0.001, 0.005))
    monkeypatch.setattr(host_resolver, "RETRY_DELAYS", (0.001, 0.005))
    made = Following()
    yield made
    await made.resolver.stop()


async def test_a_name_is_resolved_again_and_a_change_is_told(following: Following) -> None:
    following.names.answers["a"] = FIRST
    following.resolver.follow(["a"])
    await following.change()
    assert following.resolver.answers == {"a": Answer(addresses=FIRST)}
    following.names.answers["a"] = SECOND
    await following.change()
    assert following.resolver.answers == {"a": Answer(addresses=SECOND)}
    assert following.events == []


async def test_an_answer_that_stays_the_same_is_no_change(following: Following) -> None:
    following.names.answers["a"] = FIRST
    following.resolver.follow(["a"])
    await following.names.wait_asked(5)
    await following.change()
    assert following.changes.locked()


async def test_a_failure_keeps_the_last_answer_and_says_so(following: Following) -> None:
    following.names.answers["a"] = FIRST
    following.resolver.follow(["a"])
    await following.change()
    following.names.answers["a"] = "no answer"
    await following.change()
    assert following.resolver.answers == {"a": Answer(addresses=FIRST, problem="no answer")}
    following.names.answers["a"] = SECOND
    await following.change()
    assert following.resolver.answers == {"a": Answer(addresses=SECOND)}
    assert [(event.subject, event.reason, event.message) for event in following.events] == [
        ("Host/a", "NameNotResolved", "cannot be resolved: no answer; 10.0.0.1 stay in use"),
        ("Host/a", "NameResolved", "is resolved again: 10.0.0.2"),
    ]


async def test_one_that_never_had_an_answer_has_none(following: Following) -> None:
    following.resolver.follow(["a"])
    await following.resolver.wait_answered()
    assert following.resolver.answers == {"a": Answer(problem="NXDOMAIN")}
    assert following.events[0].message == "cannot be resolved: NXDOMAIN"


async def test_waiting_for_the_first_answers_of_all(following: Following) -> None:
    following.names.answers |= {"a": FIRST, "b": SECOND}
    following.resolver.follow(["a", "b", "c"])
    async with asyncio.timeout(10):
        await following.resolver.wait_answered()
    assert sorted(following.resolver.answers) == ["a", "b", "c"]


async def test_a_name_that_is_no_longer_wanted_is_forgotten(following: Following) -> None:
    following.names.answers |= {"a": FIRST, "b": SECOND}
    following.resolver.follow(["a", "b"])
    await following.resolver.wait_answered()
    following.resolver.follow(["b"])
    before = following.names.asked.count("a")
    await following.names.wait_asked(len(following.names.asked) + 5)
    assert following.names.asked.count("a") == before
    assert sorted(following.resolver.answers) == ["b"]
