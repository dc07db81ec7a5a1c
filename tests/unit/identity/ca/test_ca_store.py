"""Certificates of our CA under openssl's eyes, its directory, and rotations through all their steps."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from meshproxy.base.names import NamespacedName
from meshproxy.identity.ca.audit import AuditEntry
from meshproxy.identity.ca.certificates import BACKDATE, DAY, LeafNames, key_pem, make_intermediate, make_leaf, new_key
from meshproxy.identity.ca.issuing import Issued
from meshproxy.identity.ca.store import CAError, CAStore
from meshproxy.identity.svid import IdentityError, Wanted, make_identity, pem_of
from tests.integration.programs import require
from tests.support.authority import MadeCA
from tests.support.clock import FakeWallClock

WEB = NamespacedName("default", "web")
WHY = AuditEntry(event="issued", how="test")


@pytest.fixture
def ca(tmp_path: Path) -> MadeCA:
    return MadeCA(tmp_path / "certs", FakeWallClock())


def issue(ca: MadeCA, lifetime: float = DAY) -> tuple[Issued, bytes]:
    key = new_key()
    return ca.issuer.for_account(WEB, key.public_key(), lifetime, WHY), key_pem(key)


def trusts(ca: MadeCA, roots: str, issued: tuple[Issued, bytes]) -> bool:
    """Whether who trusts `roots` accepts the certificate now, by our own rules."""
    try:
        make_identity(issued[0].chain.encode(), issued[1], roots.encode(), ca.clock(), Wanted("mesh.local"))
    except IdentityError:
        return False
    return True


def openssl(*words: str) -> str:
    require("openssl")
    done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def verify(ca: MadeCA, roots: str, issued: Issued, *more: str) -> str:
    """What `openssl verify` says of a chain."""
    (ca.directory / "trusted").write_text(roots)
    (ca.directory / "chain").write_text(issued.chain)
    files = ("-CAfile", str(ca.directory / "trusted"), "-untrusted", str(ca.directory / "chain"))
    return openssl("verify", "-x509_strict", *more, *files, str(ca.directory / "chain"))


def test_openssl_accepts_what_is_issued(ca: MadeCA) -> None:
    issued, _ = issue(ca)
    for purpose in ("sslserver", "sslclient"):
        assert verify(ca, ca.roots.read_text(), issued, "-purpose", purpose).endswith("OK\n")
    text = openssl("x509", "-in", str(ca.directory / "chain"), "-noout", "-text")
    for expected in (
        "URI:spiffe://mesh.local/ns/default/sa/web",
        "CA:FALSE",
        "Digital Signature",
        "TLS Web Server Authentication, TLS Web Client Authentication",
        "NIST CURVE: P-256",
    ):
        assert expected in text
    for name, expected in (("root-1", "pathlen:2"), ("intermediate-1", "pathlen:0")):
        text = openssl("x509", "-in", str(ca.directory / f"{name}.pem"), "-noout", "-text")
        assert f"CA:TRUE, {expected}" in text
        assert "Certificate Sign, CRL Sign" in text


def test_a_servers_certificate_names_hosts_and_is_no_clients(ca: MadeCA) -> None:
    issued = ca.issuer.for_hosts(("*.example.com", "10.0.0.1"), new_key().public_key(), DAY, WHY)
    assert verify(ca, issued.roots, issued, "-purpose", "sslserver", "-verify_hostname", "a.example.com").endswith(
        "OK\n"
    )
    assert "unsuitable certificate purpose" in verify(ca, issued.roots, issued, "-purpose", "sslclient")
    assert "hostname mismatch" in verify(ca, issued.roots, issued, "-verify_hostname", "example.com")


def test_what_a_certificate_may_not_sign(ca: MadeCA) -> None:
    """The intermediate has path length 0: another CA under it is refused."""
    signing = ca.store.signing()
    rogue = make_intermediate(signing.issuer, "mesh.local", "rogue", ca.clock())
    leaf = make_leaf(rogue, new_key().public_key(), LeafNames(hosts=("a.example",)), ca.clock(), DAY)
    chain = pem_of(leaf, rogue.certificate) + signing.chain
    assert "path length constraint exceeded" in verify(ca, signing.bundle, Issued(chain, "", 0, 0))


def test_certificates_begin_before_they_are_made(ca: MadeCA) -> None:
    leaf = x509.load_pem_x509_certificate(issue(ca)[0].chain.encode())
    assert leaf.not_valid_before_utc.timestamp() == int(ca.clock() - BACKDATE)
    assert leaf.not_valid_after_utc.timestamp() == int(ca.clock() + DAY)


def test_a_leaf_does_not_outlive_its_issuer(ca: MadeCA) -> None:
    end = ca.store.signing().issuer.certificate.not_valid_after_utc.timestamp()
    ca.clock.now = end - 3600
    assert issue(ca)[0].not_after == end


def test_nobody_else_reads_the_keys(ca: MadeCA) -> None:
    issue(ca)
    ca.token()
    private = [*ca.directory.glob("*.key"), *ca.directory.glob("tokens/*"), ca.directory / "audit.log"]
    assert len(private) == 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
    assert stat.S_IMODE(ca.directory.stat().st_mode) == 0o700


def test_nothing_is_overwritten(ca: MadeCA, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in ca.directory.iterdir()}
    with pytest.raises(CAError, match=r"holds ca.json, .* already; nothing was overwritten"):
        ca.store.init("mesh.local", ca.clock())
    assert {path: path.read_bytes() for path in ca.directory.iterdir()} == before
    other = tmp_path / "other"
    other.mkdir()
    (other / "root-1.key").write_text("somebody's")
    with pytest.raises(CAError, match=r"holds root-1.key already"):
        CAStore(other).init("mesh.local", ca.clock())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("ca.json", None, "there is no CA in"),
        ("ca.json", "{", "is damaged"),
        ("intermediate-1.key", None, "is it kept elsewhere"),
        ("intermediate-1.key", "nonsense", "is damaged"),
        ("intermediate-1.pem", "nonsense", "is damaged"),
        ("root-1.pem", None, "cannot be read"),
    ],
)
def test_a_damaged_directory_is_explained(ca: MadeCA, name: str, content: str | None, message: str) -> None:
    path = ca.directory / name
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with pytest.raises(CAError, match=message):
        ca.store.signing()


# -- rotation ----------------------------------------------------------------------------


def test_nothing_breaks_while_both_roots_are_trusted(ca: MadeCA) -> None:
    old = issue(ca)
    ca.store.rotate_root(ca.clock())
    new = issue(ca)
    old_only, both = old[0].roots, new[0].roots
    assert both.count("BEGIN") == 2
    assert trusts(ca, old_only, old)
    assert trusts(ca, old_only, new), "who has not renewed yet trusts what is new, by the cross-signed root"
    assert trusts(ca, both, old)
    assert trusts(ca, both, new)
    assert verify(ca, old_only, new[0]).endswith("OK\n")
    assert verify(ca, both, old[0]).endswith("OK\n")
    assert "cross" not in str(ca.store.state().roots)


def test_a_rotation_ends_when_the_last_old_leaf_has_expired(ca: MadeCA) -> None:
    old = issue(ca, lifetime=7 * DAY)
    ca.store.rotate_root(ca.clock())
    with pytest.raises(CAError, match="a rotation is going on"):
        ca.store.rotate_root(ca.clock())
    ca.clock.advance(6 * DAY)
    with pytest.raises(CAError, match=r"valid for up to 25\.0 more hours"):
        ca.store.finish_rotation(ca.clock())
    ca.clock.advance(DAY + 3601)
    assert ca.store.finish_rotation(ca.clock()) == "root-1"
    new = issue(ca)
    assert new[0].roots.count("BEGIN") == 1
    assert new[0].chain.count("BEGIN") == 2, "the cross-signed root is needed no more"
    assert trusts(ca, new[0].roots, new)
    assert not trusts(ca, new[0].roots, old)
    with pytest.raises(CAError, match="no rotation is going on"):
        ca.store.finish_rotation(ca.clock())


def test_a_stolen_root_is_dropped_by_force(ca: MadeCA) -> None:
    old = issue(ca)
    ca.store.rotate_root(ca.clock())
    ca.store.finish_rotation(ca.clock(), force=True)
    assert not trusts(ca, issue(ca)[0].roots, old)


def test_ten_years_of_rotations(ca: MadeCA) -> None:
    """A new root each year, a new intermediate between: whoever renewed in the last day trusts everyone who did."""
    previous = issue(ca)
    for _ in range(10):
        for change in (ca.store.rotate_root, ca.store.rotate_intermediate, ca.store.finish_rotation):
            change(ca.clock())
            current = issue(ca)
            assert trusts(ca, previous[0].roots, current) or change == ca.store.finish_rotation
            assert trusts(ca, current[0].roots, current)
            previous = current
            ca.clock.advance(120 * DAY)
            previous = issue(ca)
    assert ca.store.state().number == 21


def test_a_root_key_that_is_kept_elsewhere_is_needed_to_rotate(ca: MadeCA) -> None:
    (ca.directory / "root-1.key").rename(ca.directory.parent / "safe")
    issue(ca)
    with pytest.raises(CAError, match=r"root-1.key cannot be read: .*is it kept elsewhere"):
        ca.store.rotate_root(ca.clock())
    assert ca.store.state().roots == ("root-1",)
