"""Every certificate in force is listed once, and expiry said in good time and once."""

from __future__ import annotations

from meshproxy.base.events import Event
from meshproxy.identity.expiry import CertificateState
from meshproxy.identity.inventory import CERTIFICATE, CRL, IDENTITY, ROOT, CertificateInventory, Listed
from tests.support.certificates import TestCA, service_account, with_unreadable_name
from tests.support.clock import FakeWallClock

CA = TestCA(intermediate=True)
HOUR = 3600.0
WEB = CA.issue(service_account("web"), starts_in=0, lasts=10 * HOUR)
EDGE = CA.issue(dns=["shop.example.com", "10.0.0.1"], starts_in=0, lasts=20 * HOUR)
LISTS = CA.revocation_lists(EDGE, lasts=10 * HOUR)


class Listing:
    """An inventory of what a test lists, looked at from when `WEB` begins."""

    def __init__(self, *listed: Listed) -> None:
        self.listed = list(listed)
        self.clock = FakeWallClock(WEB.certificate.not_valid_before_utc.timestamp())
        self.events: list[Event] = []
        self.inventory = CertificateInventory(lambda: self.listed, self.clock, self.events.append)

    def reasons_after(self, hours: float) -> list[str]:
        """What is said within that time; looking twice is no more than once."""
        self.events.clear()
        self.clock.advance(hours * HOUR)
        self.inventory.look()
        self.inventory.look()
        return [event.reason for event in self.events]


def test_what_is_in_force_is_listed_once() -> None:
    listing = Listing(
        Listed(IDENTITY, service_account("web"), WEB.certificate_pem),
        Listed(ROOT, "", CA.bundle),
        Listed(CERTIFICATE, "Secret/shop", EDGE.certificate_pem),
        Listed(ROOT, "ConfigMap/clients", CA.bundle + TestCA("other").bundle),
        Listed(CERTIFICATE, "Secret/broken", "nonsense"),
    )
    rows = listing.inventory.rows()
    assert [(row.kind, row.name) for row in rows] == [
        ("Identity", service_account("web")),
        ("Root", "CN=test root"),
        ("Certificate", "Secret/shop"),
        ("Root", "CN=other"),
    ]
    assert rows[0].names == (service_account("web"),)
    assert rows[2].names == ("shop.example.com", "10.0.0.1")
    assert rows[2].serial == EDGE.serial
    assert rows[2].issuer == "CN=test root's intermediate"
    assert rows[2].state is CertificateState.VALID
    assert 19 * HOUR < rows[2].expires_in <= 20 * HOUR


def test_expiry_is_said_in_good_time_and_once() -> None:
    listing = Listing(Listed(IDENTITY, service_account("web"), WEB.certificate_pem))
    assert listing.reasons_after(7) == []
    assert listing.reasons_after(1.5) == ["CertificateExpiresSoon"]
    assert "expires in 1.5 hours" in listing.events[0].message
    assert listing.reasons_after(1) == []
    assert listing.reasons_after(1) == ["CertificateExpired"]


def test_what_is_renewed_is_not_spoken_of() -> None:
    listing = Listing(Listed(IDENTITY, service_account("web"), WEB.certificate_pem))
    assert listing.reasons_after(9) == ["CertificateExpiresSoon"]
    renewed = CA.issue(service_account("web"), starts_in=0, lasts=30 * HOUR)
    listing.listed = [Listed(IDENTITY, service_account("web"), renewed.certificate_pem)]
    assert listing.reasons_after(2) == []


def test_a_name_that_is_no_text() -> None:
    """One Secret's mistake: what is in force is listed, shown and measured all the same."""
    listing = Listing(Listed(CERTIFICATE, "Secret/odd", with_unreadable_name()))
    (row,) = listing.inventory.rows()
    assert (row.name, row.issuer) == ("Secret/odd", "(unreadable)")


def test_revocation_lists_expire_too() -> None:
    listing = Listing(Listed(CRL, "ConfigMap/clients", LISTS), Listed(CRL, "ConfigMap/broken", "nonsense"))
    rows = listing.inventory.rows()
    assert [(row.kind, row.name, row.serial, row.state) for row in rows] == [
        ("CRL", "CN=test root's intermediate", "1a", CertificateState.VALID),
        ("CRL", "CN=test root", "1a", CertificateState.VALID),
    ]
    assert listing.reasons_after(8.5) == ["CertificateExpiresSoon"] * 2
    assert "the revocation list of CN=test root's intermediate expires in 1.5 hours" in listing.events[0].message
    assert listing.reasons_after(2) == ["CertificateExpired"] * 2
    assert "has expired: whoever has a certificate of that CA is refused" in listing.events[0].message


def test_what_is_not_valid_yet_is_said() -> None:
    """As after a mistake with clocks; what replaces it may be a Gateway's, whose files nobody else checks."""
    listing = Listing(Listed(CERTIFICATE, "Secret/shop", EDGE.certificate_pem))
    assert listing.reasons_after(-1) == ["CertificateNotYetValid"]
    assert listing.reasons_after(2) == []
