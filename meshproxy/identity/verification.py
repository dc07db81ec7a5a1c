"""Whether a peer's certificate is one that we talk to (X.509-SVID.md of the SPIFFE standards, §4 and §5).

Signatures, times and the chain are OpenSSL's matter, during the handshake: `refusal_of_handshake` names what it
found. `check_peer` is about the rest. Both give a `Refusal`, which metrics and logs count by name.
"""

from __future__ import annotations

import enum
from collections.abc import Set
from typing import NamedTuple

from meshproxy.base.errors import ProtocolError
from meshproxy.base.spiffe import SpiffeId
from meshproxy.protocols import x509


class Refusal(enum.StrEnum):
    """Why a certificate is refused: one word for metrics."""

    NO_CERTIFICATE = "no_certificate"
    MALFORMED = "malformed"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    SELF_SIGNED = "self_signed"
    UNKNOWN_CA = "unknown_ca"
    BAD_CHAIN = "bad_chain"
    """A certificate of the chain may not sign the next, or its signature is wrong."""
    REVOKED = "revoked"
    NO_CRL = "no_crl"
    """Revocation lists are given, and none that is good is of the CA of one of the chain."""
    CRL_EXPIRED = "crl_expired"
    """The list of a CA of the chain should have been replaced by now, so that nobody knows who was revoked since."""
    NO_SPIFFE_ID = "no_spiffe_id"
    SEVERAL_URIS = "several_uris"
    IS_A_CA = "is_a_ca"
    KEY_USAGE = "key_usage"
    EXTENDED_KEY_USAGE = "extended_key_usage"
    WRONG_TRUST_DOMAIN = "wrong_trust_domain"
    WRONG_IDENTITY = "wrong_identity"


class Refused(NamedTuple):
    """`message` is a sentence for people: what was wrong with which certificate."""

    reason: Refusal
    message: str


class PeerRules(NamedTuple):
    """Whom to talk to. `identities` are SPIFFE ids, any of which will do; None allows the whole trust domain.

    `trust_domain` None allows every one whose roots are trusted.
    """

    trust_domain: str | None
    peer_is_server: bool
    identities: Set[str] | None = None


# X509_V_ERR_… of OpenSSL's x509_vfy.h, which ssl.SSLCertVerificationError.verify_code has.
_BY_VERIFY_CODE = {
    3: Refusal.NO_CRL,  # UNABLE_TO_GET_CRL
    7: Refusal.BAD_CHAIN,  # CERT_SIGNATURE_FAILURE
    8: Refusal.NO_CRL,  # CRL_SIGNATURE_FAILURE
    9: Refusal.NOT_YET_VALID,
    10: Refusal.EXPIRED,
    11: Refusal.NO_CRL,  # CRL_NOT_YET_VALID
    12: Refusal.CRL_EXPIRED,
    18: Refusal.SELF_SIGNED,  # DEPTH_ZERO_SELF_SIGNED_CERT
    19: Refusal.UNKNOWN_CA,  # SELF_SIGNED_CERT_IN_CHAIN: a root that is not trusted
    20: Refusal.UNKNOWN_CA,  # UNABLE_TO_GET_ISSUER_CERT_LOCALLY
    21: Refusal.UNKNOWN_CA,  # UNABLE_TO_VERIFY_LEAF_SIGNATURE
    22: Refusal.BAD_CHAIN,  # CERT_CHAIN_TOO_LONG
    23: Refusal.REVOKED,
    24: Refusal.BAD_CHAIN,  # INVALID_CA
    25: Refusal.BAD_CHAIN,  # PATH_LENGTH_EXCEEDED
    26: Refusal.EXTENDED_KEY_USAGE,  # INVALID_PURPOSE
    32: Refusal.BAD_CHAIN,  # KEYUSAGE_NO_CERTSIGN
    33: Refusal.NO_CRL,  # UNABLE_TO_GET_CRL_ISSUER
    35: Refusal.NO_CRL,  # KEYUSAGE_NO_CRL_SIGN
    79: Refusal.BAD_CHAIN,  # INVALID_CA, since OpenSSL 3
}


def refusal_of_verify_code(code: int) -> Refusal:
    """What OpenSSL's verification error means; what is not among the usual is a bad chain."""
    return _BY_VERIFY_CODE.get(code, Refusal.BAD_CHAIN)


def check_peer(certificate: bytes | None, rules: PeerRules, now: float) -> SpiffeId | Refused:
    """The SPIFFE id of a peer's leaf certificate (DER), or why it is refused.

    `now` is in seconds since 1970. That the certificate chains to a trusted root must have been verified.
    """
    if not certificate:
        return Refused(Refusal.NO_CERTIFICATE, "the peer has no certificate")
    try:
        leaf = x509.parse(certificate)
    except ProtocolError as error:
        return Refused(Refusal.MALFORMED, f"the peer's certificate cannot be read: {error}")
    return check_times(leaf, now) or _check_usage(leaf, rules) or _check_identity(leaf, rules)


def check_times(leaf: x509.Certificate, now: float) -> Refused | None:
    """Whether a certificate is valid at `now`: again, since a session that is resumed was verified when it began."""
    if now < leaf.not_before:
        wait = leaf.not_before - now
        return Refused(Refusal.NOT_YET_VALID, f"{_name(leaf)} is valid in {wait:.0f} s only; do the clocks agree?")
    if now > leaf.not_after:
        return Refused(Refusal.EXPIRED, f"{_name(leaf)} expired {now - leaf.not_after:.0f} s ago")
    return None


def _check_usage(leaf: x509.Certificate, rules: PeerRules) -> Refused | None:
    if leaf.is_ca:
        return Refused(Refusal.IS_A_CA, f"{_name(leaf)} is a CA's; only a leaf may speak for a workload")
    usage = leaf.key_usage
    if usage is None or "digitalSignature" not in usage or usage & {"keyCertSign", "cRLSign"}:
        return Refused(
            Refusal.KEY_USAGE, f"{_name(leaf)} must have the key usage digitalSignature, and not keyCertSign"
        )
    wanted, word = (x509.SERVER_AUTH, "serverAuth") if rules.peer_is_server else (x509.CLIENT_AUTH, "clientAuth")
    if wanted not in (leaf.extended_key_usage or ()):
        return Refused(Refusal.EXTENDED_KEY_USAGE, f"{_name(leaf)} lacks the extended key usage {word}")
    return None


def _check_identity(leaf: x509.Certificate, rules: PeerRules) -> SpiffeId | Refused:
    if len(leaf.uris) > 1:
        return Refused(Refusal.SEVERAL_URIS, f"{_name(leaf)} has {len(leaf.uris)} URIs; an X.509-SVID has exactly one")
    if not leaf.uris:
        return Refused(Refusal.NO_SPIFFE_ID, f"{_name(leaf)} has no SPIFFE id")
    try:
        found = SpiffeId.parse(leaf.uris[0])
    except ValueError as error:
        return Refused(Refusal.NO_SPIFFE_ID, str(error))
    if not found.path:
        return Refused(Refusal.NO_SPIFFE_ID, f"{found} names a trust domain and nobody in it")
    if rules.trust_domain not in (None, found.trust_domain):
        return Refused(Refusal.WRONG_TRUST_DOMAIN, f"{found} is not of the trust domain {rules.trust_domain}")
    if rules.identities is not None and leaf.uris[0] not in rules.identities:
        expected = " or ".join(sorted(rules.identities)) or "nobody"
        return Refused(Refusal.WRONG_IDENTITY, f"the peer is {found}, and should be {expected}")
    return found


def _name(leaf: x509.Certificate) -> str:
    """How a message names a certificate."""
    return f"the certificate {leaf.serial:x}" + (f" of {leaf.uris[0][:200]}" if leaf.uris else "")
