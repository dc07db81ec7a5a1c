"""The keeper: the last good identity stays, and trouble is said once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from meshproxy.base.events import Event
from meshproxy.identity.expiry import CertificateState, state_of, warns_at
from meshproxy.identity.keeper import IdentityKeeper
from meshproxy.identity.sources.api import Emit, Trouble
from meshproxy.snapshot.identity import FromFiles, Identity, IdentitySettings
from tests.support.certificates import TestCA
from tests.support.clock import FakeWallClock

CA = TestCA()
HOUR = 3600.0


class FakeSource:
    """Implements `IdentitySource`: emits what a test tells it to."""

    name = "fake"

    def __init__(self) -> None:
        self.emit: Emit | None = None
        self.refreshed = 0
        self.running = asyncio.Event()
        self.ended = False
        self.here: Identity | None = None

    def at_hand(self) -> Identity | None:
        return self.here

    def refresh(self) -> None:
        self.refreshed += 1

    async def run(self, emit: Emit) -> None:
        self.emit = emit
        self.running.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = True


def make_settings(name: str = "web") -> IdentitySettings:
    source = FromFiles(certificate="c", key="k", roots="r")
    return IdentitySettings(trust_domain="", namespace="default", service_account=name, source=source)


class Kept:
    """A keeper with its sources, a clock and what it said."""

    def __init__(self) -> None:
        self.clock = FakeWallClock()
        self.events: list[Event] = []
        self.sources: list[FakeSource] = []
        self.here: Identity | None = None
        self.keeper = IdentityKeeper(self._make, self.clock, self.events.append)

    def _make(self, settings: IdentitySettings) -> FakeSource:
        self.sources.append(FakeSource())
        self.sources[-1].here = self.here
        return self.sources[-1]

    async def configured(self, name: str = "web") -> Emit:
        self.keeper.configure(make_settings(name))
        await self.sources[-1].running.wait()
        emit = self.sources[-1].emit
        assert emit is not None
        return emit

    def reasons(self) -> list[str]:
        return [event.reason for event in self.events]


@pytest.fixture
async def kept() -> AsyncIterator[Kept]:
    made = Kept()
    yield made
    made.keeper.configure(None)
    await made.keeper.stop()


async def test_nothing_is_configured(kept: Kept) -> None:
    assert kept.keeper.status() is None
    assert kept.keeper.identity.value is None


async def test_an_identity_comes_into_force(kept: Kept) -> None:
    emit = await kept.configured()
    status = kept.keeper.status()
    assert status is not None
    assert status.problem == "no identity yet"
    emit(identity := CA.identity("web"))
    assert kept.keeper.identity.value is identity
    status = kept.keeper.status()
    assert status is not None
    assert (status.problem, status.changes) == ("", 1)
    assert [each.kind for each in status.certificates] == ["Identity", "Root"]
    emit(identity)
    assert kept.reasons() == ["IdentityChanged"]


async def test_an_identity_at_hand_is_in_force_at_once(kept: Kept) -> None:
    kept.here = CA.identity("web")
    kept.keeper.configure(make_settings())
    assert kept.keeper.identity.value is kept.here
    assert kept.reasons() == ["IdentityChanged"]


async def test_trouble_leaves_the_last_good_one_and_is_said_once(kept: Kept) -> None:
    emit = await kept.configured()
    emit(Trouble("no CA answers"))
    assert "no identity" in kept.events[0].message
    emit(identity := CA.identity("web"))
    for _ in range(3):
        emit(Trouble("the key is gone"))
    assert kept.keeper.identity.value is identity
    assert kept.reasons() == ["IdentityFailed", "IdentityChanged", "IdentityFailed"]
    assert "stays in force" in kept.events[-1].message
    status = kept.keeper.status()
    assert status is not None
    assert (status.problem, status.failures) == ("the key is gone", 4)
    emit(identity)
    assert kept.reasons()[-1] == "IdentityRecovered"


async def test_trouble_after_the_end_says_so(kept: Kept) -> None:
    emit = await kept.configured()
    emit(CA.identity("web", starts_in=0, lasts=10 * HOUR))
    kept.clock.advance(11 * HOUR)
    status = kept.keeper.status()
    assert status is not None
    assert "has expired, and peers refuse it" in status.problem, "whether its source has noticed or not"
    emit(Trouble("no CA answers"))
    assert "has expired, and peers refuse it" in kept.events[-1].message
    status = kept.keeper.status()
    assert status is not None
    assert status.certificates[0].state is CertificateState.EXPIRED


async def test_another_source_takes_over_when_it_has_something(kept: Kept) -> None:
    first = await kept.configured()
    first(old := CA.identity("web"))
    second = await kept.configured("cart")
    await asyncio.sleep(0)
    assert kept.sources[0].ended
    assert kept.keeper.identity.value is old
    first(CA.identity("web"))
    assert kept.keeper.identity.value is old, "a source that was replaced is not heard"
    second(new := CA.identity("cart"))
    assert kept.keeper.identity.value is new


async def test_equal_settings_change_nothing_and_none_end_the_identity(kept: Kept) -> None:
    emit = await kept.configured()
    emit(CA.identity("web"))
    kept.keeper.configure(make_settings())
    assert len(kept.sources) == 1
    kept.keeper.refresh()
    assert kept.sources[0].refreshed == 1
    kept.keeper.configure(None)
    assert kept.keeper.identity.value is None


async def test_stopping_ends_the_source(kept: Kept) -> None:
    await kept.configured()
    await kept.keeper.stop()
    assert kept.sources[0].ended


@pytest.mark.parametrize(
    ("lasts", "remaining", "state"),
    [
        (24 * HOUR, 24 * HOUR + 1, CertificateState.NOT_YET_VALID),
        (24 * HOUR, 12 * HOUR, CertificateState.VALID),
        (24 * HOUR, 4 * HOUR, CertificateState.EXPIRES_SOON),
        (24 * HOUR, -1, CertificateState.EXPIRED),
        (3650 * 24 * HOUR, 30 * 24 * HOUR, CertificateState.VALID),
        (3650 * 24 * HOUR, 13 * 24 * HOUR, CertificateState.EXPIRES_SOON),
    ],
)
def test_states(lasts: float, remaining: float, state: CertificateState) -> None:
    assert state_of(0, lasts, lasts - remaining) is state
    assert 0 < warns_at(0, lasts) < lasts
