"""Where the workers' keys and certificates come from, and what never replaces them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path

from meshproxy.aio.watch import Watch
from meshproxy.base.events import Event
from meshproxy.runtime.tls_materials import MAX_FILE, MAX_MATERIAL, TLSMaterials
from meshproxy.snapshot.identity import Identity
from meshproxy.snapshot.tls import IDENTITY, TLSFiles, TLSMaterial
from tests.support.certificates import Issued, TestCA, with_unreadable_name
from tests.support.dataplane import wait_until


class Workers:
    """Has what workers would have."""

    def __init__(self) -> None:
        self.has: dict[str, TLSMaterial] = {}
        self.events: list[Event] = []
        self.identity: Watch[Identity | None] = Watch(None)
        self.materials = TLSMaterials(self.identity, self._put, self._keep, self.events.append)

    def _put(self, materials: Sequence[TLSMaterial]) -> None:
        self.has.update((each.name, each) for each in materials)

    def _keep(self, names: Iterable[str]) -> None:
        self.has = {name: self.has[name] for name in names}


def of(name: str, issued: Issued) -> TLSMaterial:
    return TLSMaterial(name, issued.certificate_pem, issued.key_pem)


async def test_what_is_good_comes_and_what_is_not_stays_away() -> None:
    workers, ca = Workers(), TestCA()
    first, second = ca.issue(dns=("a",)), ca.issue(dns=("a",))
    workers.materials.configure([of("s", first)], ())
    assert workers.has == {"s": of("s", first)}
    mismatched = TLSMaterial("s", second.certificate_pem, first.key_pem)
    for _ in range(2):
        workers.materials.configure([mismatched], ())
    assert workers.has == {"s": of("s", first)}
    (event,) = workers.events
    assert event.message == "s: the private key is not the certificate's; the one before stays in force"
    workers.materials.configure([of("s", second)], ())
    assert workers.has == {"s": of("s", second)} == {each.name: each for each in workers.materials.current()}
    assert not workers.materials.problems()


async def test_what_was_wrong_and_was_taken_back_is_said_anew_when_it_is_wrong_again() -> None:
    workers, ca = Workers(), TestCA()
    good = of("s", ca.issue(dns=("a",)))
    for material in (good, TLSMaterial("s", "no PEM", "at all"), good):
        workers.materials.configure([material], ())
    assert not workers.materials.problems()
    workers.materials.configure([TLSMaterial("s", "no PEM", "at all")], ())
    assert len(workers.events) == 2


async def test_a_bad_one_of_many_keeps_the_others_from_nothing() -> None:
    workers, good = Workers(), of("good", TestCA().issue(dns=("a",)))
    workers.materials.configure([TLSMaterial("bad", "no PEM", "at all"), good], ())
    assert workers.has == {"good": good}
    assert "handshakes that need it are refused" in workers.events[0].message


async def test_roots_that_are_together_too_many_for_a_packet_stay_away() -> None:
    workers, root = Workers(), TestCA().bundle
    many = MAX_MATERIAL // len(root)
    fitting, too_large = (TLSMaterial("roots", trust_bundle=root * number) for number in (many, many + 1))
    workers.materials.configure([fitting], ())
    workers.materials.configure([too_large], ())
    assert workers.has == {"roots": fitting}
    assert f"{len(root) * (many + 1)} bytes; {MAX_MATERIAL} are the most" in workers.events[0].message


async def test_the_identity_comes_before_the_configuration_that_needs_it() -> None:
    workers = Workers()
    workers.identity.set(TestCA().identity("web"))
    workers.materials.configure([], ())
    assert IDENTITY in workers.has


async def test_files_are_followed(tmp_path: Path) -> None:
    workers, ca = Workers(), TestCA()
    certificate, key = ca.issue(dns=("a",)).write(tmp_path, "a")
    files = (TLSFiles(name="f", certificate=str(certificate), key=str(key)),)
    workers.materials.configure([], files)
    assert workers.has["f"].private_key == key.read_text()
    following = asyncio.get_running_loop().create_task(workers.materials.run())
    renewed = ca.issue(dns=("a",))
    renewed.write(tmp_path, "a")
    await wait_until(lambda: workers.has["f"].private_key == renewed.key_pem)
    key.write_text("x" * (MAX_FILE + 1))
    await wait_until(lambda: bool(workers.materials.problems()))
    assert workers.has["f"].private_key == renewed.key_pem
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_lists_for_roots_whose_names_cannot_be_read() -> None:
    """OpenSSL takes such roots, and what compares them with lists does not."""
    workers = Workers()
    roots = with_unreadable_name()
    workers.materials.configure([TLSMaterial("s", trust_bundle=roots, crl=TestCA().revocation_lists())], ())
    assert not workers.has
    assert "is malformed" in workers.events[0].message


async def test_revocation_lists_are_followed_and_bad_ones_stay_away(tmp_path: Path) -> None:
    workers, ca = Workers(), TestCA("root")
    roots, crl = tmp_path / "ca.pem", tmp_path / "ca.crl"
    roots.write_text(ca.bundle + TestCA("other").bundle)
    crl.write_text(first := ca.revocation_lists())
    workers.materials.configure([], (TLSFiles(name="f", roots=str(roots), crl=str(crl)),))
    assert workers.has["f"].crl == first
    (event,) = workers.events
    assert event.reason == "RevocationListMissing"
    assert event.message == "f: there is no revocation list of CN=other; whoever chains to it is refused"
    following = asyncio.get_running_loop().create_task(workers.materials.run())
    crl.write_text(second := ca.revocation_lists(ca.issue(dns=("a",))))
    await wait_until(lambda: workers.has["f"].crl == second)
    impostor = TestCA("root").revocation_lists()
    for bad, problem in (
        (impostor, "of CN=root was not signed by that root"),
        (first[:200], "there is no (whole) PEM"),
    ):
        crl.write_text(bad)
        await wait_until(lambda problem=problem: problem in workers.materials.problems().get("f", ""))  # type: ignore[misc]
    assert workers.has["f"].crl == second
    assert [(each.kind, each.pem) for each in workers.materials.listed()][-1] == ("CRL", second)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_a_file_that_is_not_there_is_said() -> None:
    workers = Workers()
    workers.materials.configure([], (TLSFiles(name="f", roots="/nowhere/ca.pem"),))
    assert workers.materials.problems() == {"f": "/nowhere/ca.pem cannot be read: No such file or directory"}
    assert not workers.has


async def test_the_identity_comes_and_goes() -> None:
    workers, ca = Workers(), TestCA()
    following = asyncio.get_running_loop().create_task(workers.materials.run())
    workers.identity.set(ca.identity("web"))
    await wait_until(lambda: IDENTITY in workers.has)
    assert workers.has[IDENTITY].spiffe_id == "spiffe://mesh.local/ns/default/sa/web"
    workers.materials.keep_only([])
    assert IDENTITY in workers.has
    workers.identity.set(None)
    await wait_until(lambda: not workers.has)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_what_nothing_refers_to_any_more_is_forgotten() -> None:
    workers, ca = Workers(), TestCA()
    workers.materials.configure([of(name, ca.issue(dns=("a",))) for name in ("a", "b")], ())
    workers.materials.keep_only(["b"])
    assert set(workers.has) == {"b"}
    workers.materials.configure([TLSMaterial("bad", "no PEM", "at all")], ())
    workers.materials.keep_only(["b"])
    assert not workers.materials.problems()


def test_a_key_is_not_in_what_is_logged() -> None:
    material = of("s", TestCA().issue(dns=("a",)))
    assert material.private_key not in repr(material)
