"""Makes an `Identity` of PEM texts, and says what is wrong with them: whatever their source, the same rules hold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from meshproxy.base.errors import MeshproxyError
from meshproxy.base.names import NamespacedName
from meshproxy.base.spiffe import SpiffeId
from meshproxy.identity.verification import PeerRules, Refused, check_peer
from meshproxy.snapshot.identity import Identity

MAX_CHAIN = 10
"""Certificates between a leaf and its root: more than anyone has."""

_KEY = re.compile(rb"-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----[\x00-\x7f]+?-----END \1-----")
_PEM, _DER = serialization.Encoding.PEM, serialization.Encoding.DER
_PUBLIC = serialization.PublicFormat.SubjectPublicKeyInfo


class IdentityError(MeshproxyError):
    """An identity cannot be used, or not be had; the message says why, and what would help."""


class Wanted(NamedTuple):
    """What an identity must be; what is empty is as the certificate has it."""

    trust_domain: str = ""
    namespace: str = ""
    service_account: str = ""


def make_identity(chain: bytes, key: bytes, roots: bytes, now: float, wanted: Wanted) -> Identity:
    """An identity that peers will accept at `now`, in seconds since 1970.

    `chain` is PEM with the leaf first, `key` its private key in PEM without a password, `roots` PEM. Raises
    `IdentityError` where something is missing, does not belong together, or is not valid now.
    """
    try:
        return _make(chain, key, roots, now, wanted)
    except ValueError as error:  # of what is read of certificates when it is asked for
        raise IdentityError(f"a certificate is malformed: {error}") from None


def _make(chain: bytes, key: bytes, roots: bytes, now: float, wanted: Wanted) -> Identity:
    certificates = read_certificates(chain, "the certificate")
    leaf = certificates[0]
    private_key = _check_key(leaf, key)
    spiffe_id = _check_leaf(leaf, now, wanted)
    trusted = [root for root in read_certificates(roots, "the roots") if _ends(root) > now]
    if not trusted:
        raise IdentityError("every one of the roots has expired")
    intermediates = _check_chain(certificates, trusted, now)
    return Identity(
        spiffe_id=str(spiffe_id),
        trust_domain=spiffe_id.trust_domain,
        certificate_chain=pem_of(leaf, *intermediates),
        private_key=private_key,
        trust_bundle=pem_of(*trusted),
        not_before=leaf.not_valid_before_utc.timestamp(),
        not_after=_ends(leaf),
        serial=f"{leaf.serial_number:x}",
        issuer=leaf.issuer.rfc4514_string(),
    )


def read_certificates(pem: bytes, what: str) -> list[x509.Certificate]:
    """At least one certificate of a PEM text; `what` names the text in the message of an `IdentityError`."""
    if b"-----BEGIN CERTIFICATE-----" not in pem:
        raise IdentityError(f"{what}: there is no PEM certificate in it")
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise IdentityError(f"{what} cannot be read, as though half-written: {error}") from None


def pem_of(*certificates: x509.Certificate) -> str:
    """One after the other."""
    return "".join(each.public_bytes(_PEM).decode() for each in certificates)


def read_key(pem: bytes) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    """A private key without a password; raises `IdentityError`."""
    try:
        key = serialization.load_pem_private_key(_key_in(pem), password=None)
    except TypeError:
        raise IdentityError("the key has a password; write it without one, readable by this user only") from None
    except (ValueError, UnsupportedAlgorithm):
        raise IdentityError("the key cannot be read: it is no private key in PEM, or half-written") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise IdentityError("the key is neither ECDSA nor RSA, which TLS peers would refuse")
    return key


def _check_key(leaf: x509.Certificate, key: bytes) -> str:
    """The key as PEM, without what else may be in its file."""
    private = read_key(key)
    try:
        public = leaf.public_key().public_bytes(_DER, _PUBLIC)
    except (ValueError, UnsupportedAlgorithm):
        raise IdentityError("the certificate's key is of a kind that TLS peers would refuse") from None
    if private.public_key().public_bytes(_DER, _PUBLIC) != public:
        raise IdentityError("the key is not that of the certificate; was only one of the two replaced?")
    return _key_in(key).decode("ascii") + "\n"


def _key_in(pem: bytes) -> bytes:
    """The first private key; `openssl ecparam` writes parameters before it, and `openssl pkcs12` names."""
    found = _KEY.search(pem)
    if found is None:
        raise IdentityError("the key cannot be read: it is no private key in PEM, or half-written")
    return found[0]


def _check_leaf(leaf: x509.Certificate, now: float, wanted: Wanted) -> SpiffeId:
    """Our own certificate must be one that peers accept, in both roles."""
    as_server, as_client = (PeerRules(wanted.trust_domain or None, peer_is_server=role) for role in (True, False))
    der = leaf.public_bytes(_DER)
    refused = check_peer(der, as_server, now)
    found = check_peer(der, as_client, now) if not isinstance(refused, Refused) else refused
    if isinstance(found, Refused):
        raise IdentityError(found.message)
    account = found.service_account
    expected = NamespacedName(wanted.namespace, wanted.service_account)
    if wanted.service_account and account != expected:
        raise IdentityError(f"the certificate is that of {found}, and not of the service account {expected}")
    return found


def _check_chain(
    certificates: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], now: float
) -> list[x509.Certificate]:
    """What to show of `certificates` after the leaf, in order; raises where that leads to none of `roots`.

    It goes on behind a root that an older one has signed as well: peers may know only that one yet.
    """
    path = [certificates[0]]
    between = [each for each in certificates[1:] if each.issuer != each.subject and _ends(each) > now]
    while len(path) <= MAX_CHAIN:
        issuer = next((each for each in between if each not in path and is_issued_by(path[-1], each)), None)
        if issuer is None:
            break
        path.append(issuer)
    if not any(is_issued_by(each, root) for each in path for root in roots):
        raise IdentityError(
            f"the certificate does not chain to the roots: {path[-1].issuer.rfc4514_string() or 'its issuer'} is "
            "neither among them nor among the certificates that come with it"
        )
    return path[1:]


def _ends(certificate: x509.Certificate) -> float:
    """Seconds since 1970."""
    return certificate.not_valid_after_utc.timestamp()


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the names agree and the signature is good."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
