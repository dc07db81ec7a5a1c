"""How an identity does, as values for the admin API."""

from __future__ import annotations

import msgspec

from meshproxy.identity.expiry import CertificateState


class CertificateStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One certificate in force. Times are seconds since 1970.

    `kind` is ``Identity``, ``Certificate``, ``Root`` or ``CRL`` (a revocation list); `name` a SPIFFE id, where a
    certificate comes from, a root's subject, or a list's issuer; `names` are those that it is for. `expires_in` is in
    seconds, and negative once it has expired.
    """

    kind: str
    name: str
    names: tuple[str, ...]
    issuer: str
    serial: str
    not_before: float
    not_after: float
    expires_in: float
    state: CertificateState

    def complaint(self) -> str:
        """What is wrong with it, as a sentence for people; empty while it is valid and for some time to come."""
        which = "" if self.kind == "Certificate" else f"{self.kind.lower()} "
        what, then = f"{which}certificate {self.name} (serial {self.serial})", "peers refuse it"
        if self.kind == "CRL":
            what, then = f"the revocation list of {self.name}", "whoever has a certificate of that CA is refused"
        match self.state:
            case CertificateState.EXPIRED:
                return f"{what} has expired: {then}"
            case CertificateState.EXPIRES_SOON:
                after = f"; {then} then" if self.kind == "CRL" else ""
                return f"{what} expires in {self.expires_in / 3600:.1f} hours, and nothing has replaced it{after}"
            case CertificateState.NOT_YET_VALID:
                return f"{what} is not valid yet: {then}. Do the clocks agree?"
        return ""


class IdentityStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`problem` is empty when all is well; `changes` counts identities that came into force, `failures` troubles."""

    source: str
    problem: str
    changes: int
    failures: int
    certificates: tuple[CertificateStatus, ...]
