"""Identities from our own CA: over real HTTPS, through restarts and outages; and for months on a fake clock."""

from __future__ import annotations

import asyncio
import itertools
import re
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from meshproxy.authority.server import CAServer
from meshproxy.base.names import NamespacedName
from meshproxy.identity.ca.audit import AuditEntry
from meshproxy.identity.ca.certificates import DAY
from meshproxy.identity.ca.requests import read_request
from meshproxy.identity.sources.api import Trouble
from meshproxy.identity.sources.ca import CAIdentitySource
from meshproxy.identity.sources.ca_client import CAClient, CertificateAnswer
from meshproxy.identity.sources.surroundings import Surroundings
from meshproxy.identity.svid import IdentityError, Wanted, make_identity
from meshproxy.snapshot.identity import FromCA, Identity
from tests.support.authority import MadeCA
from tests.support.certificates import TestCA, service_account
from tests.support.clock import FakeWallClock
from tests.support.identity import RunningSource

WEB = service_account("web")
WANTED = Wanted("mesh.local", "default", "web")


@pytest.fixture
def ca(tmp_path: Path) -> MadeCA:
    return MadeCA(tmp_path / "certs", FakeWallClock())


class Sidecar:
    """Where a sidecar keeps what it has; it may be started again and again."""

    def __init__(self, ca: MadeCA, directory: Path) -> None:
        directory.mkdir()
        self.ca = ca
        self.state = directory / "state"
        self.token_file = directory / "web.token"
        self.roots = directory / "roots.pem"
        self.roots.write_text(ca.roots.read_text())
        self.running: list[RunningSource] = []

    def start(self, port: int, *, state: bool = True, **settings: float) -> RunningSource:
        url = f"https://localhost:{port}"
        source = FromCA(url=url, roots=str(self.roots), token_file=str(self.token_file), **settings)
        surroundings = Surroundings(self.ca.clock, lambda: 0.5)
        made = CAIdentitySource(source, WANTED, surroundings, self.state if state else None)
        self.running.append(RunningSource(made))
        return self.running[-1]


@pytest.fixture
async def sidecar(ca: MadeCA, tmp_path: Path) -> AsyncIterator[Sidecar]:
    made = Sidecar(ca, tmp_path / "sidecar")
    yield made
    for each in made.running:
        await each.stop()


@pytest.fixture
async def server(ca: MadeCA) -> AsyncIterator[CAServer]:
    async with ca.served() as running:
        yield running


async def test_a_token_gives_an_identity_and_that_renews_itself(ca: MadeCA, sidecar: Sidecar, server: CAServer) -> None:
    sidecar.token_file.write_text(ca.token() + "\n")
    running = sidecar.start(server.address.port)
    first = await running.identity()
    assert first.spiffe_id == WEB
    assert first.trust_bundle == ca.roots.read_text()
    sidecar.token_file.unlink()
    running.source.refresh()
    second = await running.until_identity(other_than=first)
    assert second.private_key != first.private_key
    assert [entry.how for entry in ca.audited("issued")] == ["token", "certificate"]


async def test_a_restart_needs_neither_token_nor_ca(ca: MadeCA, sidecar: Sidecar, server: CAServer) -> None:
    sidecar.token_file.write_text(ca.token())
    first = await sidecar.start(server.address.port).identity()
    await sidecar.running[0].stop()
    await server.stop()
    sidecar.token_file.unlink()
    again = sidecar.start(server.address.port)
    assert await again.identity() == first
    assert "Connection refused" in await again.until_trouble()
    assert [stat.S_IMODE(path.stat().st_mode) for path in sidecar.state.iterdir()] == [0o600]
    assert stat.S_IMODE(sidecar.state.stat().st_mode) == 0o700


async def test_without_a_state_directory_another_token_is_needed(
    ca: MadeCA, sidecar: Sidecar, server: CAServer, caplog: pytest.LogCaptureFixture
) -> None:
    sidecar.token_file.write_text(ca.token())
    await sidecar.start(server.address.port, state=False).identity()
    assert "without --state-dir" in caplog.text
    await sidecar.running[0].stop()
    assert "was used before, with another key" in await sidecar.start(server.address.port, state=False).trouble()


async def test_an_answer_that_was_lost_costs_no_token(ca: MadeCA, sidecar: Sidecar, server: CAServer) -> None:
    """The CA signed, and the sidecar died before it heard: its key was kept, and so the token is still its own."""
    sidecar.token_file.write_text(ca.token())
    real, lost = ca.issuer.for_account, []

    def issue_and_lose(*arguments: object) -> object:
        lost.append(real(*arguments))  # type: ignore[arg-type]
        raise OSError("the cable was pulled")

    ca.issuer.for_account = issue_and_lose  # type: ignore[assignment,method-assign]
    assert "HTTP 503" in await sidecar.start(server.address.port).trouble()
    await sidecar.running[0].stop()
    ca.issuer.for_account = real  # type: ignore[method-assign]
    assert (await sidecar.start(server.address.port).identity()).spiffe_id == WEB
    assert len(lost) == 1


async def test_a_token_that_has_served_is_not_shown_again(ca: MadeCA, sidecar: Sidecar, server: CAServer) -> None:
    """With the next key it would look stolen, when the CA cannot renew for a moment."""
    sidecar.token_file.write_text(ca.token())
    running = sidecar.start(server.address.port)
    first = await running.identity()
    intermediate = ca.directory / "intermediate-1.key"
    intermediate.rename(ca.directory / "away")
    (ca.directory / "ca.json").touch()
    running.source.refresh()
    assert "HTTP 503" in await running.until_trouble()
    (ca.directory / "away").rename(intermediate)
    running.source.refresh()
    assert (await running.until_identity(other_than=first)).spiffe_id == WEB
    assert ca.audited("token_reused") == []


async def test_a_certificate_whose_root_was_dropped_is_replaced_with_another_token(
    ca: MadeCA, sidecar: Sidecar, server: CAServer
) -> None:
    sidecar.token_file.write_text(ca.token())
    first = await sidecar.start(server.address.port).identity()
    await sidecar.running[0].stop()
    ca.store.rotate_root(ca.clock())
    ca.store.finish_rotation(ca.clock(), force=True)
    sidecar.roots.write_text(ca.roots.read_text())
    again = sidecar.start(server.address.port)
    assert await again.identity() == first, "what is kept comes first: it is for its peers to refuse"
    assert "if it no longer trusts our certificate, another token is needed" in await again.until_trouble()
    sidecar.token_file.write_text(ca.token())
    again.source.refresh()
    replaced = await again.until_identity(other_than=first)
    assert replaced.trust_bundle == ca.roots.read_text()


async def test_a_ca_that_is_not_there_yet(ca: MadeCA, sidecar: Sidecar, server: CAServer) -> None:
    sidecar.token_file.write_text(ca.token())
    address = server.address
    await server.stop()
    running = sidecar.start(address.port)
    assert "does not answer: Connection refused" in await running.trouble()
    async with ca.served(address):
        running.source.refresh()
        assert (await running.until_identity()).spiffe_id == WEB


@pytest.mark.parametrize(
    ("token", "message"),
    [
        (None, r"web\.token is not there; make a token: meshproxy ca token default/web"),
        ("nonsense", r"HTTP 401: there is no such token"),
        ("two\nlines", r"does not answer"),
    ],
)
async def test_bad_tokens(ca: MadeCA, sidecar: Sidecar, server: CAServer, token: str | None, message: str) -> None:
    if token is not None:
        sidecar.token_file.write_text(token)
    found = await sidecar.start(server.address.port).trouble()
    assert re.search(message, found), found


async def test_a_token_of_somebody_else_gives_no_identity(ca: MadeCA, sidecar: Sidecar, server: CAServer) -> None:
    sidecar.token_file.write_text(ca.token("cart"))
    assert "not of the service account default/web" in await sidecar.start(server.address.port).trouble()


async def test_a_ca_of_somebody_else_is_told_nothing(ca: MadeCA, sidecar: Sidecar, server: CAServer) -> None:
    sidecar.token_file.write_text(ca.token())
    sidecar.roots.write_text(TestCA().bundle)
    assert "its certificate is not trusted" in await sidecar.start(server.address.port).trouble()
    assert not any(state.used for state in ca.tokens.states())


@pytest.mark.parametrize("content", ["", "nonsense"])
async def test_roots_that_cannot_be_read(ca: MadeCA, sidecar: Sidecar, server: CAServer, content: str) -> None:
    sidecar.token_file.write_text(ca.token())
    sidecar.roots.write_text(content)
    assert "are not certificates in PEM" in await sidecar.start(server.address.port).trouble()


async def test_a_state_that_is_damaged_or_of_another_is_not_used(
    ca: MadeCA, sidecar: Sidecar, server: CAServer, caplog: pytest.LogCaptureFixture
) -> None:
    sidecar.token_file.write_text(ca.token())
    await sidecar.start(server.address.port).identity()
    await sidecar.running[0].stop()
    (sidecar.state / "identity").write_bytes(b"damaged")
    sidecar.token_file.write_text(ca.token())
    assert (await sidecar.start(server.address.port).identity()).spiffe_id == WEB
    assert "is damaged" in caplog.text


async def test_a_clock_that_is_late_is_said(ca: MadeCA, sidecar: Sidecar, server: CAServer) -> None:
    sidecar.token_file.write_text(ca.token())
    late = FakeWallClock(ca.clock() - 4 * 60)
    sidecar.ca = type("Late", (), {"clock": late})()
    assert (await sidecar.start(server.address.port).identity()).spiffe_id == WEB, "four minutes are nothing"
    await sidecar.running[0].stop()
    late.advance(-3 * 60)
    (sidecar.state / "identity").unlink()
    sidecar.token_file.write_text(ca.token())
    assert "do the clocks agree?" in await sidecar.start(server.address.port).trouble()


# -- months ------------------------------------------------------------------------------


class Months:
    """One sidecar and its CA, in whose world time passes only while the sidecar waits."""

    def __init__(self, ca: MadeCA, directory: Path, lifetime: float) -> None:
        self.ca = ca
        self.lifetime = lifetime
        self.away = False
        self.found: list[tuple[float, Identity | Trouble]] = []
        self.events: list[tuple[float, Callable[[], object]]] = []
        self.end = 0.0
        self._over = asyncio.Event()
        roots = directory / "roots.pem"
        roots.write_text(ca.roots.read_text())
        token = directory / "token"
        token.write_text("a token")
        settings = FromCA(url="https://ca", roots=str(roots), token_file=str(token), lifetime=lifetime)
        surroundings = Surroundings(ca.clock, lambda: 0.25, self._wait)
        self._source = CAIdentitySource(settings, WANTED, surroundings, None, self._client)

    async def pass_by(self, seconds: float) -> None:
        """Let that much time pass; `events` happen at theirs."""
        self.end = self.ca.clock() + seconds
        running = asyncio.get_running_loop().create_task(self._source.run(self._emit))
        over = asyncio.get_running_loop().create_task(self._over.wait())
        await asyncio.wait({over, running}, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        assert not running.done(), running
        assert over.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    def changes(self) -> list[tuple[float, Identity]]:
        """When there was an identity other than the one before."""
        found = [(at, each) for at, each in self.found if isinstance(each, Identity)]
        return found[:1] + [later for earlier, later in itertools.pairwise(found) if later[1] != earlier[1]]

    def _emit(self, found: Identity | Trouble) -> None:
        self.found.append((self.ca.clock(), found))

    async def _wait(self, event: asyncio.Event, seconds: float) -> None:
        self.ca.clock.advance(seconds)
        while self.events and self.events[0][0] <= self.ca.clock():
            self.events.pop(0)[1]()
        if self.ca.clock() >= self.end:
            self._over.set()
            await asyncio.Event().wait()

    def _client(self, url: str, roots: str, identity: Identity | None, token: str) -> CAClient:
        return DirectClient(self, token)


class DirectClient(CAClient):
    """Asks the CA without a network."""

    def __init__(self, months: Months, token: str) -> None:
        self._months = months
        self.token = token

    async def certificate(self, request: str, lifetime: float | None) -> CertificateAnswer:
        self._check()
        why = AuditEntry(event="issued", how="test")
        account, key = NamespacedName("default", "web"), read_request(request)
        issued = self._months.ca.issuer.for_account(account, key, lifetime or DAY, why)
        return CertificateAnswer(issued.chain, issued.roots)

    async def roots(self) -> str:
        self._check()
        return self._months.ca.issuer.current().bundle

    def _check(self) -> None:
        if self._months.away:
            raise IdentityError("the CA is away")


async def test_two_months_of_renewals_through_a_rotation(ca: MadeCA, tmp_path: Path) -> None:
    """At every moment the identity is valid, and whoever knows the roots of a day ago trusts it."""
    months = Months(ca, tmp_path, DAY)
    start = ca.clock()
    months.events = [
        (start + 20 * DAY, lambda: ca.store.rotate_root(ca.clock())),
        (start + 25 * DAY, lambda: ca.store.finish_rotation(ca.clock())),
        (start + 40 * DAY, lambda: ca.store.rotate_intermediate(ca.clock())),
    ]
    await months.pass_by(60 * DAY)
    assert not [found for _, found in months.found if isinstance(found, Trouble)]
    identities = months.changes()
    certificates = dict.fromkeys(identity.serial for _, identity in identities)
    assert 60 / 0.6 <= len(certificates) <= 60 / 0.4
    for (_, earlier), (at, identity) in itertools.pairwise(identities):
        assert earlier.not_after - at > 0.3 * DAY, "renewed long before the end"
        chain, key = identity.certificate_chain.encode(), identity.private_key.encode()
        make_identity(chain, key, earlier.trust_bundle.encode(), at, WANTED)  # or it raises
    assert {identity.trust_bundle.count("BEGIN") for _, identity in identities} == {1, 2}
    assert "meshproxy root 1" not in identities[-1][1].issuer


async def test_new_roots_are_known_within_minutes(ca: MadeCA, tmp_path: Path) -> None:
    months = Months(ca, tmp_path, DAY)
    rotated = ca.clock() + 3600
    months.events = [(rotated, lambda: ca.store.rotate_root(ca.clock()))]
    await months.pass_by(2 * 3600)
    knows = [at for at, found in months.found if isinstance(found, Identity) and found.trust_bundle.count("BEGIN") == 2]
    assert knows[0] - rotated < 600
    assert len({found.serial for _, found in months.found if isinstance(found, Identity)}) == 1


async def test_an_outage_within_half_of_the_lifetime_is_no_loss(ca: MadeCA, tmp_path: Path) -> None:
    months = Months(ca, tmp_path, DAY)
    start = ca.clock()

    def goes() -> None:
        months.away = True

    def comes() -> None:
        months.away = False

    months.events = [(start + 0.3 * DAY, goes), (start + 0.8 * DAY, comes)]
    await months.pass_by(2 * DAY)
    troubles = [at for at, found in months.found if isinstance(found, Trouble)]
    assert 100 < len(troubles) < 1000, "it asks again and again, and not too often"
    first, second, *_ = months.changes()
    assert second[0] < first[1].not_after
    assert 0 <= second[0] - (start + 0.8 * DAY) < 130


async def test_who_has_nothing_yet_asks_twice_a_minute(ca: MadeCA, tmp_path: Path) -> None:
    months = Months(ca, tmp_path, DAY)
    months.away = True
    comes = ca.clock() + 3600

    def come() -> None:
        months.away = False

    months.events = [(comes, come)]
    await months.pass_by(2 * 3600)
    assert 0 <= months.changes()[0][0] - comes <= 30


async def test_the_shortest_lifetime_is_no_storm(ca: MadeCA, tmp_path: Path) -> None:
    months = Months(ca, tmp_path, 60)
    await months.pass_by(3600)
    assert 3600 / 40 <= len(months.found) <= 3600 / 20
