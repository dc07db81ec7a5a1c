"""Certificate signing requests (PKCS #10, RFC 2986). Of one that comes in, only the key counts: who asks is
known otherwise, so that nobody gets a name by writing it there."""

from __future__ import annotations

from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from meshproxy.base.errors import MeshproxyError

MAX_REQUEST = 8192
"""Bytes of a PEM text; ours has 300."""


class BadRequest(MeshproxyError):
    """A signing request is refused; the message says why."""


def make_request(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    """A request in PEM, which names nobody and shows that we have the key."""
    builder = x509.CertificateSigningRequestBuilder(subject_name=x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def read_request(pem: str) -> ec.EllipticCurvePublicKey:
    """The key that is to be certified; raises `BadRequest`."""
    if len(pem) > MAX_REQUEST:
        raise BadRequest(f"a signing request has at most {MAX_REQUEST} bytes")
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        key = request.public_key()
        valid = request.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature):
        raise BadRequest("this is no signing request in PEM (PKCS #10)") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadRequest("the key must be ECDSA P-256")
    if not valid:
        raise BadRequest("the signing request's signature is wrong: whoever made it does not have the key")
    return key


def fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 of the public key, in hexadecimal."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return sha256(key.public_bytes(serialization.Encoding.DER, form)).hexdigest()
