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


class IdentityStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`problem` is empty when all is well; `changes` counts identities that came into force, `failures` troubles."""

    source: str
    problem: str
    changes: int
    failures: int
    certificates: tuple[CertificateStatus, ...]
