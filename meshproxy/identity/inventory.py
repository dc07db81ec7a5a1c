"""Every certificate in force, whatever it is for, and a warning before it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from cryptography import x509

from meshproxy.base.events import Event, EventSink, EventType
from meshproxy.identity.expiry import CertificateState, state_of
from meshproxy.identity.revocation import read_lists
from meshproxy.identity.status import CertificateStatus
from meshproxy.identity.svid import IdentityError, read_certificates

LOOK = 30.0
"""Seconds between looks at the clock."""
IDENTITY, CERTIFICATE, ROOT, CRL = "Identity", "Certificate", "Root", "CRL"
"""Kinds: our own SPIFFE identity, any other certificate that we have a key for, what we trust, and what was revoked."""
_CACHED = 4096
UNREADABLE = "(unreadable)"
"""The name in a certificate whose own is malformed: OpenSSL takes some that `cryptography` does not."""


class Listed(NamedTuple):
    """A chain, of which the first certificate counts; or roots or revocation lists, of which each does.

    Roots are named by their subjects, and lists by their issuers.
    """

    kind: str
    name: str
    pem: str


class _Facts(NamedTuple):
    subject: str
    issuer: str
    serial: str
    names: tuple[str, ...]
    not_before: float
    not_after: float


class CertificateInventory:
    """`listed` yields what is in force; `wall_clock` tells seconds since 1970."""

    def __init__(
        self, listed: Callable[[], Iterable[Listed]], wall_clock: Callable[[], float], on_event: EventSink
    ) -> None:
        self._listed = listed
        self._wall_clock = wall_clock
        self._on_event = on_event
        self._said: dict[tuple[str, str, str], CertificateState] = {}

    def rows(self) -> tuple[CertificateStatus, ...]:
        """Each once, in the order of `listed`."""
        now = self._wall_clock()
        found = {
            (row.kind, row.issuer, row.serial): row for listed in self._listed() for row in statuses_of(listed, now)
        }
        return tuple(found.values())

    async def run(self) -> None:
        """Look at the clock until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK)

    def look(self) -> None:
        """Say of each certificate, once, that it expires soon, has expired, or is not valid yet."""
        now_said: dict[tuple[str, str, str], CertificateState] = {}
        for row in self.rows():
            key = (row.kind, row.issuer, row.serial)
            if row.state not in (CertificateState.VALID, self._said.get(key)):
                self._warn(row)
            now_said[key] = row.state
        self._said = now_said

    def _warn(self, row: CertificateStatus) -> None:
        reason = f"Certificate{row.state.value}"
        self._on_event(Event(type=EventType.WARNING, reason=reason, subject=IDENTITY, message=row.complaint()))


def statuses_of(listed: Listed, now: float) -> Iterator[CertificateStatus]:
    """What there is to know of each; nothing of what is not PEM, which its own source complains of."""
    facts = _facts_of_lists(listed.pem) if listed.kind == CRL else _facts(listed.pem)
    several = listed.kind in (ROOT, CRL)
    for each in facts if several else facts[:1]:
        yield CertificateStatus(
            kind=listed.kind,
            name=each.subject if several else listed.name,
            names=each.names,
            issuer=each.issuer,
            serial=each.serial,
            not_before=each.not_before,
            not_after=each.not_after,
            expires_in=each.not_after - now,
            state=state_of(each.not_before, each.not_after, now),
        )


@lru_cache(maxsize=_CACHED)
def _facts(pem: str) -> tuple[_Facts, ...]:
    try:
        certificates = read_certificates(pem.encode(), "a certificate")
    except IdentityError:
        return ()
    return tuple(
        _Facts(
            subject=_text(each, "subject"),
            issuer=_text(each, "issuer"),
            serial=f"{each.serial_number:x}",
            names=_names(each),
            not_before=each.not_valid_before_utc.timestamp(),
            not_after=each.not_valid_after_utc.timestamp(),
        )
        for each in certificates
    )


def _text(of: x509.Certificate | x509.CertificateRevocationList, name: str) -> str:
    """Its `subject` or `issuer`, which is read when it is asked for, and may be no text."""
    try:
        return str(getattr(of, name).rfc4514_string())
    except ValueError:
        return UNREADABLE


@lru_cache(maxsize=_CACHED)
def _facts_of_lists(pem: str) -> tuple[_Facts, ...]:
    """A list without an end (RFC 5280 §5.1.2.5 wants one) is not here: there is nothing to warn of."""
    try:
        lists = read_lists(pem.encode(), "a revocation list")
    except IdentityError:
        return ()
    return tuple(
        _Facts(
            subject=_text(each, "issuer"),
            issuer=_text(each, "issuer"),
            serial=_number(each),
            names=(),
            not_before=each.last_update_utc.timestamp(),
            not_after=each.next_update_utc.timestamp(),
        )
        for each in lists
        if each.next_update_utc is not None
    )


def _number(revoked: x509.CertificateRevocationList) -> str:
    """Its CRL number, in hexadecimal; when it was made where it has none."""
    try:
        return f"{revoked.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number:x}"
    except (x509.ExtensionNotFound, ValueError):
        return f"{int(revoked.last_update_utc.timestamp()):x}"


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    """DNS names, addresses and URIs; none where the extension cannot be read."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    kinds = (x509.DNSName, x509.IPAddress, x509.UniformResourceIdentifier)
    return tuple(str(name.value) for name in names if isinstance(name, kinds))
