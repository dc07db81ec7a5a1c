"""Issues leaves from a CA's directory, which may change meanwhile, and notes each."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from msgspec.structs import replace

from meshproxy.base.names import NamespacedName
from meshproxy.base.spiffe import SpiffeId
from meshproxy.identity.ca.audit import AuditEntry, AuditLog
from meshproxy.identity.ca.certificates import DAY, LeafNames, make_leaf
from meshproxy.identity.ca.store import STATE, CAStore, SigningCA
from meshproxy.identity.expiry import CertificateState, state_of
from meshproxy.identity.svid import pem_of

DEFAULT_LIFETIME = DAY
MIN_LIFETIME = 60.0
LEAVES_NOTED_AHEAD = 3600.0
"""Seconds by which the noted end of all leaves is ahead, so that it is noted once an hour and not for each."""


class Issued(NamedTuple):
    """`chain` and `roots` are PEM, the leaf first."""

    chain: str
    roots: str
    serial: int
    not_after: float


class Issuer:
    """Signs with what is active in `store`. `wall_clock` tells seconds since 1970."""

    def __init__(self, store: CAStore, audit: AuditLog, wall_clock: Callable[[], float]) -> None:
        self._store = store
        self._audit = audit
        self._wall_clock = wall_clock
        self._stamp = (0, 0)
        self._noted_until = 0.0
        self._ca: SigningCA = self.current()

    def current(self) -> SigningCA:
        """What signs now: read again when `ca.json` has been replaced. Raises `CAError`."""
        try:
            status = (self._store.directory / STATE).stat()
            stamp = (status.st_ino, status.st_mtime_ns)
        except OSError:
            stamp = (0, 0)  # reading it says what is wrong
        if stamp != self._stamp or stamp == (0, 0):
            self._ca = self._store.signing()
            self._stamp = stamp
            self._noted_until = 0.0
        return self._ca

    def expiries(self, now: float) -> list[tuple[str, float, CertificateState]]:
        """(name, end, state) of what must not expire: the intermediate and each root."""
        state = self._store.state()
        found = []
        for name in (state.intermediate, *state.roots):
            certificate = self._store.certificate(name)
            start, end = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
            found.append((name, end, state_of(start, end, now)))
        return found

    def for_account(
        self, account: NamespacedName, key: ec.EllipticCurvePublicKey, lifetime: float, why: AuditEntry
    ) -> Issued:
        """An X.509-SVID of `account`, valid for `lifetime` seconds. Raises `ValueError` where its name is none."""
        names = LeafNames(spiffe_id=SpiffeId.of_service_account(self.current().trust_domain, account))
        return self._issue(names, key, lifetime, why)

    def for_hosts(
        self, hosts: tuple[str, ...], key: ec.EllipticCurvePublicKey, lifetime: float, why: AuditEntry
    ) -> Issued:
        """A server's certificate for DNS names and addresses."""
        return self._issue(LeafNames(hosts=hosts), key, lifetime, why)

    def _issue(self, names: LeafNames, key: ec.EllipticCurvePublicKey, lifetime: float, why: AuditEntry) -> Issued:
        now = self._wall_clock()
        self._note_end(now + lifetime)
        ca = self.current()
        leaf = make_leaf(ca.issuer, key, names, now, lifetime)
        not_after = leaf.not_valid_after_utc.timestamp()
        subject = str(names.spiffe_id or ",".join(names.hosts))
        serial = leaf.serial_number
        self._audit.write(replace(why, subject=subject, serial=f"{serial:x}", not_after=not_after))
        return Issued(pem_of(leaf) + ca.chain, ca.bundle, serial, not_after)

    def _note_end(self, not_after: float) -> None:
        """A rotation waits for the last leaf: the store must know before the leaf is out."""
        if not_after > self._noted_until:
            ahead = not_after + LEAVES_NOTED_AHEAD
            self._store.leaf_issued(ahead)
            self.current()  # which the note has changed
            self._noted_until = ahead
