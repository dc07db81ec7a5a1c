"""Two sidecars and their CA for weeks of a fake clock, over real HTTPS: keepers, sources, client, server, rotations."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from meshproxy.authority import server_identity
from meshproxy.base.events import Event
from meshproxy.identity.ca.certificates import DAY
from meshproxy.identity.inventory import CertificateInventory
from meshproxy.identity.keeper import IdentityKeeper
from meshproxy.identity.sources import ca as ca_source
from meshproxy.identity.sources.ca import CAIdentitySource
from meshproxy.identity.sources.ca_client import CAClient
from meshproxy.identity.sources.surroundings import Surroundings
from meshproxy.identity.svid import Wanted, make_identity
from meshproxy.snapshot.identity import FromCA, Identity, IdentitySettings
from tests.support.authority import MadeCA
from tests.support.clock import FakeWallClock

DEADLINE = 60
NO_CHECK_TIME = ssl.VerifyFlags(0x200000)
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL's x509_vfy.h: its clock is real. Ours, which is not, checks times as well."""


class Timeline:
    """Time passes when everybody waits, and then as far as the first of them waits for."""

    def __init__(self, clock: FakeWallClock) -> None:
        self.clock = clock
        self.members = 0
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = itertools.count()
        self._changed = asyncio.Event()

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        """Implements `Surroundings.wait`; nobody hurries here."""
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (self.clock() + seconds, next(self._count), woken))
        self._changed.set()
        await woken

    async def next(self) -> None:
        """Wait until everybody waits, then wake the first at its time."""
        async with asyncio.timeout(DEADLINE):
            while len(self._waiting) < self.members:
                self._changed.clear()
                await self._changed.wait()
        at, _, woken = heapq.heappop(self._waiting)
        self.clock.now = max(self.clock.now, at)
        woken.set_result(None)


class TimelessClient(CAClient):
    """Leaves the times of the server's certificate to the fake clock."""

    def __init__(self, url: str, roots: str, identity: Identity | None, token: str = "") -> None:
        super().__init__(url, roots, identity, token)
        self._context.verify_flags |= NO_CHECK_TIME


class Sidecar:
    """A keeper whose identity is from the CA's server, as in a supervisor."""

    def __init__(self, name: str, chance: float, ca: MadeCA, url: str, timeline: Timeline) -> None:
        self.name = name
        self.events: list[Event] = []
        self.identities: list[Identity] = []
        self.wanted = Wanted("mesh.local", "default", name)
        token = ca.directory / f"{name}.token"
        token.write_text(ca.token(name))
        roots = ca.directory / f"{name}.roots"
        roots.write_text(ca.roots.read_text())
        settings = FromCA(url=url, roots=str(roots), token_file=str(token))
        surroundings = Surroundings(ca.clock, lambda: chance, timeline.wait)
        timeline.members += 1
        self.keeper = IdentityKeeper(
            lambda _: CAIdentitySource(settings, self.wanted, surroundings, None, TimelessClient),
            ca.clock,
            self.events.append,
        )
        self.inventory = CertificateInventory(self.keeper.listed, ca.clock, self.events.append)
        self.keeper.configure(
            IdentitySettings(trust_domain="mesh.local", namespace="default", service_account=name, source=settings)
        )

    def look(self) -> Identity | None:
        """The identity that is in force, noted where it is new."""
        self.inventory.look()
        identity = self.keeper.identity.value
        if identity is not None and identity not in self.identities[-1:]:
            self.identities.append(identity)
        return identity

    def trusts(self, peer: Sidecar, now: float) -> None:
        """Raises where this sidecar would refuse what `peer` shows now."""
        mine, its = self.keeper.identity.value, peer.keeper.identity.value
        assert mine is not None
        assert its is not None
        texts = (its.certificate_chain, its.private_key, mine.trust_bundle)
        chain, key, roots = (text.encode() for text in texts)
        make_identity(chain, key, roots, now, peer.wanted)


class World:
    """`events` happen at their times, in order."""

    def __init__(self, ca: MadeCA, url: str) -> None:
        self.ca = ca
        self.timeline = Timeline(ca.clock)
        self.sidecars = [
            Sidecar(name, chance, ca, url, self.timeline) for name, chance in (("web", 0.1), ("cart", 0.8))
        ]
        self.events: list[tuple[float, Callable[[], object]]] = []

    async def pass_by(self, seconds: float) -> None:
        """Let that much time pass; whenever both have an identity, each must trust the other."""
        end = self.ca.clock() + seconds
        while self.ca.clock() < end:
            await self.timeline.next()
            looks = [sidecar.look() for sidecar in self.sidecars]
            if None not in looks:
                for one, other in itertools.permutations(self.sidecars, 2):
                    one.trusts(other, self.ca.clock())
            while self.events and self.events[0][0] <= self.ca.clock():
                self.events.pop(0)[1]()


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(ca_source, "ROOTS_INTERVAL", DAY / 4)  # five minutes would be thousands of handshakes
    new_context = server_identity._new_context

    def timeless() -> ssl.SSLContext:
        context = new_context()
        context.verify_flags |= NO_CHECK_TIME
        return context

    monkeypatch.setattr(server_identity, "_new_context", timeless)
    ca = MadeCA(tmp_path / "certs", FakeWallClock())
    async with ca.served() as server:
        made = World(ca, f"https://localhost:{server.address.port}")
        yield made
        for sidecar in made.sidecars:
            await sidecar.keeper.stop()


async def test_three_weeks_through_rotations(world: World) -> None:
    """A new intermediate, a new root beside the old, and then without it: nobody is refused, and nobody warned."""
    ca, start = world.ca, world.ca.clock()
    world.events = [
        (start + 4 * DAY, lambda: ca.store.rotate_intermediate(ca.clock())),
        (start + 8 * DAY, lambda: ca.store.rotate_root(ca.clock())),
        (start + 14 * DAY, lambda: ca.store.finish_rotation(ca.clock())),
        (start + 18 * DAY, lambda: ca.store.rotate_intermediate(ca.clock())),
    ]
    await world.pass_by(21 * DAY)
    assert world.events == []
    for sidecar in world.sidecars:
        assert {event.reason for event in sidecar.events} == {"IdentityChanged"}
        serials = {identity.serial for identity in sidecar.identities}
        assert 21 / 0.6 <= len(serials) <= 21 / 0.4, "at half of each day's certificate, give or take"
        issuers = list(dict.fromkeys(identity.issuer for identity in sidecar.identities))
        assert len(issuers) == 4, "of the first root, twice, and of the second"
        bundles = [identity.trust_bundle.count("BEGIN") for identity in sidecar.identities]
        assert [count for count, _ in itertools.groupby(bundles)] == [1, 2, 1]
    hows = [entry.how for entry in ca.audited("issued")]
    assert hows.count("token") == 2, "for the first certificates only"
    assert ca.audited("refused") == []
