"""Every certificate in force, whatever it is for, and a warning before it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from cryptography import x509

from meshproxy.base.events import Event, EventSink, EventType
from meshproxy.identity.expiry import CertificateState, state_of
from meshproxy.identity.status import CertificateStatus
from meshproxy.identity.svid import IdentityError, read_certificates

LOOK = 30.0
"""Seconds between looks at the clock."""
IDENTITY, CERTIFICATE, ROOT = "Identity", "Certificate", "Root"
"""Kinds: our own SPIFFE identity, any other certificate that we have a key for, and what we trust."""
_CACHED = 4096


class Listed(NamedTuple):
    """A chain, of which the first certificate counts; or roots, of which each does, and which their subjects name."""

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
        """Say of each certificate, once, that it expires soon or has expired."""
        now_said: dict[tuple[str, str, str], CertificateState] = {}
        for row in self.rows():
            key = (row.kind, row.issuer, row.serial)
            if self._said.get(key, CertificateState.VALID) != row.state:
                self._warn(row)
            now_said[key] = row.state
        self._said = now_said

    def _warn(self, row: CertificateStatus) -> None:
        what = f"{row.kind.lower()} certificate {row.name} (serial {row.serial})"
        if row.state is CertificateState.EXPIRED:
            self._say("CertificateExpired", f"{what} has expired: peers refuse it")
        elif row.state is CertificateState.EXPIRES_SOON:
            left = f"{row.expires_in / 3600:.1f} hours"
            self._say("CertificateExpiresSoon", f"{what} expires in {left}, and nothing has replaced it")

    def _say(self, reason: str, message: str) -> None:
        self._on_event(Event(type=EventType.WARNING, reason=reason, subject=IDENTITY, message=message))


def statuses_of(listed: Listed, now: float) -> Iterator[CertificateStatus]:
    """What there is to know of each; nothing of what is not PEM, which its own source complains of."""
    facts = _facts(listed.pem)
    for each in facts if listed.kind == ROOT else facts[:1]:
        yield CertificateStatus(
            kind=listed.kind,
            name=each.subject if listed.kind == ROOT else listed.name,
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
            subject=each.subject.rfc4514_string(),
            issuer=each.issuer.rfc4514_string(),
            serial=f"{each.serial_number:x}",
            names=_names(each),
            not_before=each.not_valid_before_utc.timestamp(),
            not_after=each.not_valid_after_utc.timestamp(),
        )
        for each in certificates
    )


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    """DNS names, addresses and URIs; none where the extension cannot be read."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    kinds = (x509.DNSName, x509.IPAddress, x509.UniformResourceIdentifier)
    return tuple(str(name.value) for name in names if isinstance(name, kinds))
