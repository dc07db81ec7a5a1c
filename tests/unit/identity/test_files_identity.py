"""The files source on a real file system: as cert-manager, step and openssl write, and as accidents do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from meshproxy.identity.sources.files import FilesIdentitySource
from meshproxy.identity.svid import Wanted
from meshproxy.snapshot.identity import FromFiles
from tests.support.certificates import Issued, TestCA, service_account
from tests.support.clock import FakeWallClock
from tests.support.identity import RunningSource

WEB = service_account("web")
CA = TestCA(intermediate=True)


class Watched(RunningSource):
    """A files source that runs."""

    def __init__(self, files: FromFiles, clock: FakeWallClock) -> None:
        super().__init__(FilesIdentitySource(files, Wanted(service_account="web", namespace="default"), clock))

    async def until_serial(self, issued: Issued) -> None:
        """Take what comes until this certificate does."""
        while (await self.until_identity()).serial != issued.serial:
            pass


Watch = Callable[..., Watched]


@pytest.fixture
async def watch() -> AsyncIterator[Watch]:
    running: list[Watched] = []

    def start(directory: Path, *names: str, crl: str = "") -> Watched:
        certificate, key, roots = (str(directory / name) for name in names or ("web.pem", "web.key", "roots.pem"))
        files = FromFiles(certificate=certificate, key=key, roots=roots, crl=str(directory / crl) if crl else "")
        running.append(Watched(files, FakeWallClock()))
        return running[-1]

    yield start
    for each in running:
        await each.stop()


def write(directory: Path, issued: Issued, *names: str) -> None:
    certificate, key, roots = names or ("web.pem", "web.key", "roots.pem")
    (directory / certificate).write_text(issued.certificate_pem)
    (directory / key).write_text(issued.key_pem)
    (directory / roots).write_text(CA.bundle)


async def test_files_are_read_and_renewed(tmp_path: Path, watch: Watch) -> None:
    write(tmp_path, first := CA.issue(WEB))
    watched = watch(tmp_path)
    assert (await watched.identity()).serial == first.serial
    write(tmp_path, second := CA.issue(WEB))
    await watched.until_serial(second)


async def test_revocation_lists_are_read_and_renewed(tmp_path: Path, watch: Watch) -> None:
    write(tmp_path, CA.issue(WEB))
    lists = tmp_path / "roots.crl"
    lists.write_text(first := CA.revocation_lists())
    watched = watch(tmp_path, crl="roots.crl")
    assert (await watched.identity()).crl == first
    for bad in (TestCA().revocation_lists(), first[:100], ""):
        lists.write_text(bad)
        assert "revocation list" in await watched.until_trouble()
    lists.write_text(second := CA.revocation_lists(CA.issue(WEB)))
    while (await watched.until_identity()).crl != second:
        pass


async def test_a_kubernetes_volume_that_swaps_its_link(tmp_path: Path, watch: Watch) -> None:
    """cert-manager's Secret, mounted: tls.crt → ..data/tls.crt, and ..data → the newest directory."""
    names = ("tls.crt", "tls.key", "ca.crt")
    issued = [CA.issue(WEB), CA.issue(WEB)]
    for number, each in enumerate(issued):
        (tmp_path / f"..{number}").mkdir()
        write(tmp_path / f"..{number}", each, *names)
    (tmp_path / "..data").symlink_to("..0")
    for name in names:
        (tmp_path / name).symlink_to(f"..data/{name}")
    watched = watch(tmp_path, *names)
    assert (await watched.identity()).serial == issued[0].serial
    (tmp_path / "..tmp").symlink_to("..1")
    (tmp_path / "..tmp").replace(tmp_path / "..data")
    await watched.until_serial(issued[1])


async def test_a_key_that_is_replaced_before_its_certificate(tmp_path: Path, watch: Watch) -> None:
    write(tmp_path, CA.issue(WEB))
    watched = watch(tmp_path)
    await watched.identity()
    renewed = CA.issue(WEB)
    (tmp_path / "web.key").write_text(renewed.key_pem)
    assert "is not that of the certificate" in await watched.trouble()
    (tmp_path / "web.pem").write_text(renewed.certificate_pem)
    await watched.until_serial(renewed)


async def test_files_that_are_half_written_gone_or_unreadable(tmp_path: Path, watch: Watch) -> None:
    write(tmp_path, good := CA.issue(WEB))
    watched = watch(tmp_path)
    await watched.identity()
    (tmp_path / "web.pem").write_text(good.certificate_pem[:200])
    assert "half-written" in await watched.trouble()
    (tmp_path / "web.pem").unlink()
    assert "cannot be read: No such file" in await watched.trouble()
    (tmp_path / "web.pem").mkdir()
    assert "cannot be read: Is a directory" in await watched.trouble()
    (tmp_path / "web.pem").rmdir()
    write(tmp_path, good)
    await watched.until_serial(good)


async def test_what_is_too_large_for_a_key_is_not_read(tmp_path: Path, watch: Watch) -> None:
    write(tmp_path, CA.issue(WEB))
    (tmp_path / "web.key").write_bytes(bytes(1024 * 1024 + 1))
    assert "is larger than" in await watch(tmp_path).trouble()


async def test_files_that_are_not_there_yet(tmp_path: Path, watch: Watch) -> None:
    watched = watch(tmp_path / "certs")
    assert "No such file" in await watched.trouble()
    (tmp_path / "certs").mkdir()
    write(tmp_path / "certs", issued := CA.issue(WEB))
    await watched.until_serial(issued)


async def test_a_refresh_says_it_again(tmp_path: Path, watch: Watch) -> None:
    write(tmp_path, CA.issue(WEB))
    watched = watch(tmp_path)
    first = await watched.identity()
    watched.source.refresh()
    assert await watched.identity() == first


async def test_a_certificate_of_somebody_else_is_refused(tmp_path: Path, watch: Watch) -> None:
    write(tmp_path, CA.issue(service_account("cart")))
    assert "not of the service account default/web" in await watch(tmp_path).trouble()
