"""Makes roots, intermediates and leaves (RFC 5280; X.509-SVID.md §3 and §4 of the SPIFFE standards).

All keys are ECDSA P-256. Times are seconds since 1970; `now` comes in.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from meshproxy.base.spiffe import SpiffeId

DAY = 86400.0
ROOT_LIFETIME = 3650 * DAY
INTERMEDIATE_LIFETIME = 730 * DAY
BACKDATE = 300.0
"""Seconds that a certificate begins before it is made, for peers whose clocks are late (step: 1 minute, Istio: 2)."""
ROOT_PATH_LENGTH = 2
"""A root's successor, which it signs across, and the intermediate under that."""

_CA_USAGE = ("key_cert_sign", "crl_sign")
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    *_CA_USAGE,
    "encipher_only",
    "decipher_only",
)


class KeyPair(NamedTuple):
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


class LeafNames(NamedTuple):
    """Who a leaf is for: a SPIFFE id, which serves as client and server, or DNS names and addresses of a server."""

    spiffe_id: SpiffeId | None = None
    hosts: Sequence[str] = ()


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS #8, without a password."""
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def make_root(trust_domain: str, name: str, now: float) -> KeyPair:
    """A self-signed root, which carries the trust domain's own SPIFFE id."""
    key = new_key()
    subject = _subject(trust_domain, name)
    builder = _builder(subject, subject, key.public_key(), key.public_key(), now, now + ROOT_LIFETIME)
    return KeyPair(_as_ca(builder, trust_domain, ROOT_PATH_LENGTH).sign(key, hashes.SHA256()), key)


def make_intermediate(root: KeyPair, trust_domain: str, name: str, now: float) -> KeyPair:
    """What signs leaves, and nothing else."""
    key = new_key()
    until = min(now + INTERMEDIATE_LIFETIME, root.certificate.not_valid_after_utc.timestamp())
    issuer, authority = root.certificate.subject, root.key.public_key()
    builder = _builder(_subject(trust_domain, name), issuer, key.public_key(), authority, now, until)
    return KeyPair(_as_ca(builder, trust_domain, 0).sign(root.key, hashes.SHA256()), key)


def cross_sign(successor: x509.Certificate, old: KeyPair, trust_domain: str, now: float) -> x509.Certificate:
    """The root `successor` as `old` vouches for it: so those who trust only `old` trust what is under `successor`."""
    key = successor.public_key()
    until = min(successor.not_valid_after_utc, old.certificate.not_valid_after_utc).timestamp()
    builder = _builder(successor.subject, old.certificate.subject, key, old.key.public_key(), now, until)
    return _as_ca(builder, trust_domain, ROOT_PATH_LENGTH - 1).sign(old.key, hashes.SHA256())


def make_leaf(
    issuer: KeyPair, key: CertificatePublicKeyTypes, names: LeafNames, now: float, lifetime: float
) -> x509.Certificate:
    """A leaf of `lifetime` seconds, or as long as its issuer lasts where that is less."""
    until = min(now + lifetime, issuer.certificate.not_valid_after_utc.timestamp())
    builder = _builder(x509.Name([]), issuer.certificate.subject, key, issuer.key.public_key(), now, until)
    usages = [ExtendedKeyUsageOID.SERVER_AUTH]
    alternatives: list[x509.GeneralName] = [_host(name) for name in names.hosts]
    if names.spiffe_id is not None:
        usages.append(ExtendedKeyUsageOID.CLIENT_AUTH)
        alternatives.append(x509.UniformResourceIdentifier(str(names.spiffe_id)))
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage("digital_signature"), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=True)  # there is no subject (§4.2.1.6)
        .sign(issuer.key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: CertificatePublicKeyTypes,
    authority: ec.EllipticCurvePublicKey,
    now: float,
    until: float,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(int(now - BACKDATE), UTC))
        .not_valid_after(datetime.fromtimestamp(int(until), UTC))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority), critical=False)
    )


def _as_ca(builder: x509.CertificateBuilder, trust_domain: str, path_length: int) -> x509.CertificateBuilder:
    own = x509.UniformResourceIdentifier(str(SpiffeId(trust_domain, "")))
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(*_CA_USAGE), critical=True)
        .add_extension(x509.SubjectAlternativeName([own]), critical=False)
    )


def _subject(trust_domain: str, name: str) -> x509.Name:
    organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, trust_domain[:64])
    return x509.Name([organization, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _key_usage(*used: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{name: name in used for name in _USAGES})


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
