"""What makes an identity, and every way in which PEM texts do not."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives import serialization

from meshproxy.identity.svid import IdentityError, Wanted, make_identity
from meshproxy.snapshot.identity import Identity
from tests.support.certificates import Issued, TestCA, pem_of, self_signed, service_account, with_unreadable_name

CA = TestCA(intermediate=True)
OTHER = TestCA("other")
WEB = service_account("web", "shop")
ISSUED = CA.issue(WEB)
NEXT = TestCA("new root", intermediate=True)
RENEWED = NEXT.issue(WEB)
CHAIN, KEY, ROOTS = ISSUED.certificate_pem.encode(), ISSUED.key_pem.encode(), CA.bundle.encode()
NOW = datetime.now(UTC).timestamp()


def make(chain: bytes = CHAIN, key: bytes = KEY, roots: bytes = ROOTS, **wanted: str) -> Identity:
    return make_identity(chain, key, roots, NOW, Wanted(**wanted))


def test_what_belongs_together_is_an_identity() -> None:
    identity = make(trust_domain="mesh.local", namespace="shop", service_account="web")
    assert identity.spiffe_id == WEB
    assert identity.trust_domain == "mesh.local"
    assert identity.serial == ISSUED.serial
    assert identity.certificate_chain.count("BEGIN CERTIFICATE") == 2
    assert identity.not_before < NOW < identity.not_after


def test_no_key_is_shown() -> None:
    assert "PRIVATE" not in repr(make())


def test_only_what_is_needed_is_presented_and_in_order() -> None:
    """People concatenate files in any order, root included."""
    root, intermediate = pem_of(CA.root.certificate), pem_of(ISSUED.chain[0])
    shuffled = pem_of(ISSUED.certificate) + root + OTHER.bundle + intermediate
    assert make(shuffled.encode()).certificate_chain == ISSUED.certificate_pem


def test_a_key_as_openssl_writes_it() -> None:
    sec1 = ISSUED.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    assert b"BEGIN EC PRIVATE KEY" in sec1
    assert make(key=sec1).spiffe_id == WEB


def test_what_stands_before_a_key_is_no_harm() -> None:
    """`openssl ecparam -genkey` writes parameters there, `openssl pkcs12` a friendly name."""
    sec1 = ISSUED.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    for before in (parameters, "friendlyName: Büro\n".encode()):
        assert make(key=before + sec1).private_key == sec1.decode()


def test_a_root_that_an_older_one_signed_is_shown_as_such() -> None:
    """Also by who trusts it already: peers may not yet."""
    chain = RENEWED.certificate_pem + pem_of(CA.cross_sign(NEXT))
    for roots in (CA.bundle, NEXT.bundle, CA.bundle + NEXT.bundle):
        assert make(chain.encode(), RENEWED.key_pem.encode(), roots.encode()).certificate_chain == chain


def test_expired_roots_are_left_out() -> None:
    expired = CA.issue(is_ca=True, starts_in=-7200, lasts=-3600)
    assert make(roots=ROOTS + pem_of(expired.certificate).encode()).trust_bundle == CA.bundle


ENCRYPTED = ISSUED.key.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.BestAvailableEncryption(b"password"),
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chain": b""}, "the certificate: there is no PEM certificate"),
        ({"chain": CHAIN[:300]}, "the certificate cannot be read"),
        ({"chain": KEY}, "there is no PEM certificate"),
        ({"chain": CHAIN + with_unreadable_name().encode()}, "a certificate is malformed"),
        ({"key": b""}, "the key cannot be read"),
        ({"key": KEY[:100]}, "the key cannot be read"),
        ({"key": ENCRYPTED}, "has a password"),
        ({"key": CA.issue(WEB).key_pem.encode()}, "is not that of the certificate"),
        ({"roots": b"\xff\xfe"}, "the roots: there is no PEM certificate"),
        ({"roots": OTHER.bundle.encode()}, "does not chain to the roots"),
        ({"chain": pem_of(ISSUED.certificate).encode()}, "does not chain to the roots"),
        ({"trust_domain": "other.example"}, "not of the trust domain other.example"),
        ({"service_account": "cart", "namespace": "shop"}, "not of the service account shop/cart"),
        ({"service_account": "web", "namespace": "default"}, "not of the service account default/web"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict, message: str) -> None:
    with pytest.raises(IdentityError, match=message):
        make(**change)


@pytest.mark.parametrize(
    ("issued", "message"),
    [
        (CA.issue(WEB, starts_in=-7200, lasts=-3600), "expired"),
        (CA.issue(WEB, starts_in=1800), "do the clocks agree"),
        (CA.issue(WEB, "spiffe://mesh.local/other"), "has 2 URIs"),
        (CA.issue(dns=["a.example"]), "no SPIFFE id"),
        (CA.issue(WEB, usages=None), "extended key usage"),
        (CA.issue(WEB, is_ca=True), "is a CA's"),
        (self_signed(WEB), "does not chain"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_peers_would_refuse_is_refused(issued: Issued, message: str) -> None:
    with pytest.raises(IdentityError, match=message):
        make(issued.certificate_pem.encode(), issued.key_pem.encode())


def test_expired_roots_alone_are_refused() -> None:
    expired = CA.issue(is_ca=True, starts_in=-7200, lasts=-3600)
    with pytest.raises(IdentityError, match="every one of the roots has expired"):
        make(roots=pem_of(expired.certificate).encode())
