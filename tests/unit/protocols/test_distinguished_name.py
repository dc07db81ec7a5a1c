"""Names of certificates as text, beside openssl's own."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.base.errors import ProtocolError
from meshproxy.protocols.distinguished_name import text_of_name
from tests.integration.programs import require

_PEM = serialization.Encoding.PEM
ODD = x509.ObjectIdentifier("1.2.3.4")


def name(*parts: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in parts])


NAMES = {
    "empty": x509.Name([]),
    "plain": name((NameOID.COUNTRY_NAME, "DE"), (NameOID.ORGANIZATION_NAME, "Example"), (NameOID.COMMON_NAME, "web")),
    "special": name((NameOID.COMMON_NAME, ' #a,b+c"d\\e<f>g;h=i# ')),
    "number sign": name((NameOID.COMMON_NAME, "#a")),
    "not ASCII": name((NameOID.COMMON_NAME, "Büro\n\x7f")),
    "rare": name(
        (NameOID.DOMAIN_COMPONENT, "org"), (NameOID.USER_ID, "u"), (NameOID.EMAIL_ADDRESS, "a@b"),
        (NameOID.SERIAL_NUMBER, "1"), (NameOID.STREET_ADDRESS, "s"), (NameOID.TITLE, "t"), (NameOID.SURNAME, "x"),
        (NameOID.GIVEN_NAME, "y"), (NameOID.LOCALITY_NAME, "l"), (NameOID.STATE_OR_PROVINCE_NAME, "st"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "ou"), (NameOID.ORGANIZATION_IDENTIFIER, "i"),
    ),
    "unknown": name((ODD, "value")),
    "several": x509.Name([x509.RelativeDistinguishedName(
        [x509.NameAttribute(NameOID.COMMON_NAME, "a"), x509.NameAttribute(NameOID.USER_ID, "b")])]),
    "wide": x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ä", _type=_ASN1Type.BMPString)]),
}  # fmt: skip


@pytest.mark.parametrize("case", NAMES)
def test_as_openssl_writes_it(case: str, tmp_path: Path) -> None:
    require("openssl")
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder(subject_name=NAMES[case]).sign(key, hashes.SHA256())
    path = tmp_path / "request"
    path.write_bytes(request.public_bytes(_PEM))
    words = ("openssl", "req", "-in", str(path), "-noout", "-subject", "-nameopt", "RFC2253")
    expected = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert f"subject={text_of_name(NAMES[case].public_bytes())}\n" == expected


@given(st.binary(max_size=60))
def test_any_bytes(data: bytes) -> None:
    try:
        text = text_of_name(data)
    except ProtocolError:
        return
    assert text.isascii()
    assert text.isprintable()
