"""How long certificates go on, and when to say so. Pure: times are seconds since 1970, and `now` comes in."""

from __future__ import annotations

import enum

WARN_SHARE = 0.2
"""Of its life, within which a certificate that has not been renewed is warned about. Ours are renewed at half of it,
cert-manager's when a third is left: who has less left has a problem."""
WARN_AT_MOST = 14 * 86400.0
"""Seconds; of a root with ten years the fifth would be two of them."""


class CertificateState(enum.StrEnum):
    NOT_YET_VALID = "NotYetValid"
    VALID = "Valid"
    EXPIRES_SOON = "ExpiresSoon"
    EXPIRED = "Expired"


def warns_at(not_before: float, not_after: float) -> float:
    """From when on it is said that a certificate expires soon."""
    return not_after - min(WARN_SHARE * (not_after - not_before), WARN_AT_MOST)


def state_of(not_before: float, not_after: float, now: float) -> CertificateState:
    if now < not_before:
        return CertificateState.NOT_YET_VALID
    if now > not_after:
        return CertificateState.EXPIRED
    return CertificateState.EXPIRES_SOON if now >= warns_at(not_before, not_after) else CertificateState.VALID
