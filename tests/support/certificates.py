"""Certificates for tests: a CA in memory that makes good ones, and bad ones in every way that has a name."""

from __future__ import annotations

import ipaddress
import ssl
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from meshproxy.snapshot.identity import Identity

TRUST_DOMAIN = "mesh.local"
BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


class Issued(NamedTuple):
    """A certificate with its key, and the chain that belongs between it and the root."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def serial(self) -> str:
        """In hexadecimal."""
        return f"{self.certificate.serial_number:x}"

    @property
    def certificate_pem(self) -> str:
        """The leaf and its chain."""
        return "".join(pem_of(each) for each in (self.certificate, *self.chain))

    @property
    def key_pem(self) -> str:
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(encoding, form, serialization.NoEncryption()).decode()

    def write(self, directory: Path, name: str) -> tuple[Path, Path]:
        """`name`.pem and `name`.key in `directory`."""
        certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
        certificate.write_text(self.certificate_pem)
        key.write_text(self.key_pem)
        return certificate, key


def pem_of(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def service_account(name: str, namespace: str = "default", trust_domain: str = TRUST_DOMAIN) -> str:
    """The SPIFFE id of a service account."""
    return f"spiffe://{trust_domain}/ns/{namespace}/sa/{name}"


class TestCA:
    """A root, and an intermediate if wanted. What `issue` makes is right unless an argument says otherwise."""

    __test__ = False

    def __init__(self, name: str = "test root", *, intermediate: bool = False) -> None:
        self.root = _ca(name, None, path_length=1)
        self._issuer = _ca(f"{name}'s intermediate", self.root, path_length=0) if intermediate else self.root
        self._chain = (self._issuer.certificate,) if intermediate else ()

    @property
    def bundle(self) -> str:
        """The root's PEM."""
        return pem_of(self.root.certificate)

    def issue(
        self,
        *uris: str,
        dns: Sequence[str] = (),
        starts_in: float = -60,
        lasts: float = 3600,
        usages: Sequence[x509.ObjectIdentifier] | None = BOTH,
        is_ca: bool = False,
        signs: bool = True,
    ) -> Issued:
        """A leaf: `starts_in` and `lasts` are seconds from now; `usages` None leaves the extension out.

        `signs` is the key usage digitalSignature, which an X.509-SVID must have.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.UniformResourceIdentifier(uri) for uri in uris] + [_dns_or_ip(name) for name in dns]
        builder = _builder("", self._issuer, key, starts_in, lasts)
        builder = builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(digital_signature=signs, key_encipherment=not signs), critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
        if usages is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        return Issued(builder.sign(self._issuer.key, hashes.SHA256()), key, self._chain)

    def revocation_lists(self, *revoked: Issued, starts_in: float = -60, lasts: float = 3600) -> str:
        """PEMs of the lists of whoever issues here and, if that is an intermediate, of the root, whose is empty."""
        lists = [_revocation_list(self._issuer, revoked, starts_in, lasts)]
        if self._issuer is not self.root:
            lists.append(_revocation_list(self.root, (), starts_in, lasts))
        return "".join(lists)

    def cross_sign(self, other: TestCA) -> x509.Certificate:
        """The root of `other`, as this one vouches for it."""
        root = other.root
        (name,) = root.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        builder = _builder(str(name.value), self.root, root.key, -60, 86400)
        for extension in root.certificate.extensions:
            if isinstance(extension.value, x509.BasicConstraints | x509.KeyUsage):
                builder = builder.add_extension(extension.value, extension.critical)
        return builder.sign(self.root.key, hashes.SHA256())

    def issue_under(self, issuer: Issued, uri: str) -> Issued:
        """What the owner of a leaf, `issuer`, may sign and nobody may believe."""
        leaf = self.issue(uri)
        builder = _builder("", issuer, leaf.key, -60, 3600)
        for extension in leaf.certificate.extensions:
            if not isinstance(extension.value, x509.SubjectKeyIdentifier | x509.AuthorityKeyIdentifier):
                builder = builder.add_extension(extension.value, extension.critical)
        return Issued(builder.sign(issuer.key, hashes.SHA256()), leaf.key, (issuer.certificate, *issuer.chain))

    def identity(self, name: str, namespace: str = "default", **bad: float) -> Identity:
        """The whole identity of a service account, as a data plane is given it. Takes what `issue` takes."""
        uri = service_account(name, namespace)
        issued = self.issue(uri, **bad)  # type: ignore[arg-type]
        return Identity(
            spiffe_id=uri,
            trust_domain=TRUST_DOMAIN,
            certificate_chain=issued.certificate_pem,
            private_key=issued.key_pem,
            trust_bundle=self.bundle,
            not_before=issued.certificate.not_valid_before_utc.timestamp(),
            not_after=issued.certificate.not_valid_after_utc.timestamp(),
            serial=issued.serial,
            issuer=issued.certificate.issuer.rfc4514_string(),
        )


def self_signed(uri: str) -> Issued:
    """A leaf that nobody but itself vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder("self", None, key, -60, 3600)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False)
    builder = builder.add_extension(_key_usage(digital_signature=True), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(BOTH), critical=False)
    return Issued(builder.sign(key, hashes.SHA256()), key)


def context_of(issued: Issued | None, bundle: str, purpose: ssl.Purpose, directory: Path) -> ssl.SSLContext:
    """A context of the standard library's, which verifies chains and no names; client certificates are required."""
    context = ssl.create_default_context(purpose, cadata=bundle)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    if issued is not None:
        context.load_cert_chain(*issued.write(directory, issued.serial))
    return context


def _ca(name: str, issuer: Issued | None, path_length: int) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, issuer, key, -3600, 10 * 365 * 86400)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    builder = builder.add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
    return Issued(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


def _revocation_list(issuer: Issued, revoked: Sequence[Issued], starts_in: float, lasts: float) -> str:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(now + timedelta(seconds=starts_in))
        .next_update(now + timedelta(seconds=lasts))
        .add_extension(x509.CRLNumber(26), critical=False)
    )
    for each in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(each.certificate.serial_number).revocation_date(now)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def _builder(
    name: str, issuer: Issued | None, key: ec.EllipticCurvePrivateKey, starts_in: float, lasts: float
) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
    start = datetime.now(UTC) + timedelta(seconds=starts_in)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(datetime.now(UTC) + timedelta(seconds=lasts))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    authority = (issuer.key if issuer else key).public_key()
    return builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority), critical=False)


def _key_usage(**used: bool) -> x509.KeyUsage:
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: used.get(name, False) for name in names})


def _dns_or_ip(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def with_unreadable_name() -> str:
    """The PEM of a certificate whose subject and issuer are no text: OpenSSL takes it all the same."""
    der = TestCA("four").root.certificate.public_bytes(serialization.Encoding.DER)
    broken = b64encode(der.replace(b"\x0c\x04four", b"\x0c\x04\xff\xfe\xfa\xfb")).decode()
    return f"-----BEGIN CERTIFICATE-----\n{broken}\n-----END CERTIFICATE-----\n"
