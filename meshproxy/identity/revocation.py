"""Certificate revocation lists (RFC 5280 §5): read, and compared with the roots that they are to be of.

Whom they refuse is OpenSSL's matter, during handshakes. A list whose time is over makes it refuse everybody of that
CA, which the inventory warns of before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from meshproxy.identity.svid import IdentityError, read_certificates
from meshproxy.snapshot.identity import Identity

_BLOCK = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)
_BEGINNING = b"-----BEGIN X509 CRL-----"


def read_lists(pem: bytes, what: str) -> list[x509.CertificateRevocationList]:
    """At least one list of a PEM text; `what` names the text in the message of an `IdentityError`."""
    blocks = _BLOCK.findall(pem)
    if not blocks or len(blocks) < pem.count(_BEGINNING):
        raise IdentityError(f"{what}: there is no (whole) PEM revocation list in it")
    try:
        return [x509.load_pem_x509_crl(block) for block in blocks]
    except ValueError as error:
        raise IdentityError(f"{what} cannot be read, as though half-written: {error}") from None


def with_lists(identity: Identity, crl: bytes, what: str) -> Identity:
    """`identity`, whose peers must not be among those that `crl`, which is called `what`, revokes.

    Raises as `check_lists` does.
    """
    try:
        text = crl.decode("ascii")
    except UnicodeDecodeError:
        raise IdentityError(f"{what} is not in PEM") from None
    check_lists(text, identity.trust_bundle, what)
    return msgspec.structs.replace(identity, crl=text)


def check_lists(crl: str, roots: str, what: str = "the revocation lists") -> tuple[str, ...]:
    """The roots that none of the lists is of: whoever chains to them is refused.

    Raises `IdentityError` where a list cannot be read, or says that it is a root's and was not signed by it.
    """
    lists = read_lists(crl.encode(), what)
    trusted = read_certificates(roots.encode(), "the roots")
    try:
        _check_signatures(lists, trusted)
        return tuple(_without_list(trusted, lists))
    except ValueError as error:  # names are read when they are asked for
        raise IdentityError(f"{what}, or a root that they are compared with, is malformed: {error}") from None


def _check_signatures(lists: Sequence[x509.CertificateRevocationList], trusted: Sequence[x509.Certificate]) -> None:
    for each in lists:
        issuers = [root for root in trusted if root.subject == each.issuer]
        if issuers and not any(_is_signed_by(each, root) for root in issuers):
            raise IdentityError(f"the revocation list of {each.issuer.rfc4514_string()} was not signed by that root")


def _without_list(roots: Sequence[x509.Certificate], lists: Sequence[x509.CertificateRevocationList]) -> Iterator[str]:
    issuers = {each.issuer for each in lists}
    return (root.subject.rfc4514_string() for root in roots if root.subject not in issuers)


def _is_signed_by(revoked: x509.CertificateRevocationList, root: x509.Certificate) -> bool:
    try:
        return revoked.is_signature_valid(root.public_key())  # type: ignore[arg-type]  # others are a TypeError
    except (TypeError, UnsupportedAlgorithm):
        return False
