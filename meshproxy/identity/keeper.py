"""Keeps this proxy's identity: the last good one, whatever happens to its source, and a warning before it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from meshproxy.aio.tasks import OwnedTasks
from meshproxy.aio.watch import Watch
from meshproxy.base.events import Event, EventSink, EventType
from meshproxy.identity.expiry import CertificateState, state_of
from meshproxy.identity.sources.api import IdentitySource, Trouble
from meshproxy.identity.status import CertificateStatus, IdentityStatus
from meshproxy.identity.svid import read_certificates
from meshproxy.snapshot.identity import Identity, IdentitySettings

LOOK = 30.0
"""Seconds between looks at the clock."""
SUBJECT = "Identity"


MakeSource = Callable[[IdentitySettings], IdentitySource]


class IdentityKeeper:
    """Owns `identity`, which is None while there is none. `wall_clock` tells seconds since 1970."""

    def __init__(self, make_source: MakeSource, wall_clock: Callable[[], float], on_event: EventSink) -> None:
        self.identity: Watch[Identity | None] = Watch(None)
        self._make_source = make_source
        self._wall_clock = wall_clock
        self._on_event = on_event
        self._tasks = OwnedTasks()
        self._settings: IdentitySettings | None = None
        self._source: IdentitySource | None = None
        self._running: asyncio.Task[None] | None = None
        self._problem = ""
        self._changes = 0
        self._failures = 0
        self._said: dict[tuple[str, str], CertificateState] = {}

    def configure(self, settings: IdentitySettings | None) -> None:
        """Use another source from now on, if `settings` differ. What is in force stays until that has something better.

        Without settings there is no identity.
        """
        if settings == self._settings:
            return
        self._settings = settings
        if self._running is not None:
            self._running.cancel()
        self._source = self._running = None
        self._problem = ""
        if settings is None:
            self.identity.set(None)
            return
        source = self._source = self._make_source(settings)

        def emit(found: Identity | Trouble) -> None:
            if self._source is source:
                self._found(found)

        self._running = self._tasks.start(source.run(emit), name=f"identity from {source.name}")

    def refresh(self) -> None:
        """Have the source look again."""
        if self._source is not None:
            self._source.refresh()

    async def run(self) -> None:
        """Look at the clock until cancelled; ends the source with itself."""
        try:
            while True:
                self.look_at_clock()
                await asyncio.sleep(LOOK)
        finally:
            await self._tasks.cancel()

    def look_at_clock(self) -> None:
        """Say of each certificate, once, that it expires soon or has expired."""
        certificates = self._certificates()
        known = {(each.kind, each.serial) for each in certificates}
        self._said = {key: state for key, state in self._said.items() if key in known}
        for each in certificates:
            key = (each.kind, each.serial)
            if self._said.get(key, CertificateState.VALID) != each.state:
                self._warn(each)
            self._said[key] = each.state

    def status(self) -> IdentityStatus | None:
        """How the identity does; None where none is configured."""
        if self._source is None:
            return None
        problem = self._problem
        if self.identity.value is None and not problem:
            problem = "no identity yet"
        return IdentityStatus(
            source=self._source.name,
            problem=problem,
            changes=self._changes,
            failures=self._failures,
            certificates=self._certificates(),
        )

    def _found(self, found: Identity | Trouble) -> None:
        if isinstance(found, Trouble):
            self._failures += 1
            if found.message != self._problem:
                self._problem = found.message
                self._on_event(_event(EventType.WARNING, "IdentityFailed", f"{found.message}; {self._stays()}"))
            return
        was_in_trouble, self._problem = bool(self._problem), ""
        if found != self.identity.value:
            self._changes += 1
            self.identity.set(found)
            message = f"{found.spiffe_id}, certificate {found.serial}, is in force"
            self._on_event(_event(EventType.NORMAL, "IdentityChanged", message))
        elif was_in_trouble:
            self._on_event(_event(EventType.NORMAL, "IdentityRecovered", "the source of the identity is well again"))
        self.look_at_clock()

    def _stays(self) -> str:
        identity = self.identity.value
        if identity is None:
            return "this proxy has no identity, and mutual TLS is not possible"
        left = identity.not_after - self._wall_clock()
        if left <= 0:
            return f"certificate {identity.serial} has expired, and peers refuse it"
        return f"certificate {identity.serial} stays in force, for {left / 60:.0f} more minutes"

    def _certificates(self) -> tuple[CertificateStatus, ...]:
        identity = self.identity.value
        if identity is None:
            return ()
        now = self._wall_clock()
        own = CertificateStatus(
            kind="Identity",
            name=identity.spiffe_id,
            issuer=identity.issuer,
            serial=identity.serial,
            not_before=identity.not_before,
            not_after=identity.not_after,
            expires_in=identity.not_after - now,
            state=state_of(identity.not_before, identity.not_after, now),
        )
        return own, *_roots(identity.trust_bundle, now)

    def _warn(self, certificate: CertificateStatus) -> None:
        what = f"{certificate.kind.lower()} certificate {certificate.serial} ({certificate.name})"
        if certificate.state is CertificateState.EXPIRED:
            self._on_event(_event(EventType.WARNING, "CertificateExpired", f"{what} has expired: peers refuse it"))
        elif certificate.state is CertificateState.EXPIRES_SOON:
            message = f"{what} expires in {certificate.expires_in / 60:.0f} minutes, and nothing has replaced it"
            self._on_event(_event(EventType.WARNING, "CertificateExpiresSoon", message))


def _roots(bundle: str, now: float) -> tuple[CertificateStatus, ...]:
    statuses = []
    for root in read_certificates(bundle.encode(), "the trust bundle"):
        start, end = root.not_valid_before_utc.timestamp(), root.not_valid_after_utc.timestamp()
        statuses.append(
            CertificateStatus(
                kind="Root",
                name=root.subject.rfc4514_string(),
                issuer=root.issuer.rfc4514_string(),
                serial=f"{root.serial_number:x}",
                not_before=start,
                not_after=end,
                expires_in=end - now,
                state=state_of(start, end, now),
            )
        )
    return tuple(statuses)


def _event(kind: EventType, reason: str, message: str) -> Event:
    return Event(type=kind, reason=reason, subject=SUBJECT, message=message)
