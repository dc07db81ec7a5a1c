"""The certificate reader against `cryptography`, and against whatever bytes a peer may send."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509 as oracle
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from meshproxy.base.errors import ProtocolError
from meshproxy.protocols import der, x509
from tests.support.certificates import TestCA, self_signed, service_account

CA = TestCA(intermediate=True)
CERTIFICATES = {
    "leaf": CA.issue(service_account("web")).der,
    "names": CA.issue(service_account("web"), "spiffe://mesh.local/two", dns=["a.example", "*.b.example"]).der,
    "nothing": CA.issue(usages=None).der,
    "no signature": CA.issue("https://example.com/x", signs=False, usages=[ExtendedKeyUsageOID.CODE_SIGNING]).der,
    "after 2050": CA.issue(service_account("web"), lasts=40 * 365 * 86400).der,
    "root": CA.root.der,
    "self-signed": self_signed(service_account("web")).der,
}


def _extension(certificate: oracle.Certificate, kind: type) -> object | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except oracle.ExtensionNotFound:
        return None


@pytest.mark.parametrize("data", CERTIFICATES.values(), ids=CERTIFICATES)
def test_it_reads_what_cryptography_reads(data: bytes) -> None:
    read, expected = x509.parse(data), oracle.load_der_x509_certificate(data)
    assert read.serial == expected.serial_number
    assert (read.issuer, read.subject) == (expected.issuer.public_bytes(), expected.subject.public_bytes())
    assert datetime.fromtimestamp(read.not_before, UTC) == expected.not_valid_before_utc
    assert datetime.fromtimestamp(read.not_after, UTC) == expected.not_valid_after_utc
    names = _extension(expected, oracle.SubjectAlternativeName)
    assert isinstance(names, oracle.SubjectAlternativeName | None)
    assert list(read.uris) == (names.get_values_for_type(oracle.UniformResourceIdentifier) if names else [])
    assert list(read.dns_names) == (names.get_values_for_type(oracle.DNSName) if names else [])
    constraints = _extension(expected, oracle.BasicConstraints)
    assert read.is_ca == (isinstance(constraints, oracle.BasicConstraints) and constraints.ca)
    usages = _extension(expected, oracle.ExtendedKeyUsage)
    assert read.extended_key_usage == (
        tuple(each.dotted_string for each in usages) if isinstance(usages, oracle.ExtendedKeyUsage) else None
    )
    usage = _extension(expected, oracle.KeyUsage)
    assert isinstance(usage, oracle.KeyUsage | None)
    assert (read.key_usage is None) == (usage is None)
    if usage is not None and read.key_usage is not None:
        assert ("digitalSignature" in read.key_usage) == usage.digital_signature
        assert ("keyEncipherment" in read.key_usage) == usage.key_encipherment
        assert ("keyCertSign" in read.key_usage) == usage.key_cert_sign
        assert ("cRLSign" in read.key_usage) == usage.crl_sign


@pytest.mark.parametrize("data", CERTIFICATES.values(), ids=CERTIFICATES)
def test_a_certificate_that_is_cut_short_is_refused(data: bytes) -> None:
    for size in range(len(data)):
        with pytest.raises(ProtocolError):
            x509.parse(data[:size])


@given(st.data())
def test_a_damaged_certificate_is_read_or_refused(data: st.DataObject) -> None:
    damaged = bytearray(data.draw(st.sampled_from(list(CERTIFICATES.values()))))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    _read_or_refuse(bytes(damaged))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_certificate_or_a_protocol_error(data: bytes) -> None:
    _read_or_refuse(data)
    _read_or_refuse(b"\x30\x82" + len(data).to_bytes(2) + data)


def _read_or_refuse(data: bytes) -> None:
    try:
        x509.parse(data)
    except ProtocolError:
        pass


@pytest.mark.parametrize(
    ("hexadecimal", "message"),
    [
        ("", "ends within"),
        ("30", "ends within"),
        ("3080", "indefinite"),
        ("3084ffffffff", "too long"),
        ("3003020100ff", "not one element"),
        ("1f8101", "several bytes"),
    ],
)
def test_malformed_der(hexadecimal: str, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        der.whole(bytes.fromhex(hexadecimal), der.SEQUENCE)


@pytest.mark.parametrize(
    ("hexadecimal", "name"),
    [("06032a0304", "1.2.3.4"), ("0603550411", "2.5.4.17"), ("06032b0601", "1.3.6.1"), ("0603883703", "2.999.3")],
)
def test_object_identifiers(hexadecimal: str, name: str) -> None:
    assert der.object_identifier(der.whole(bytes.fromhex(hexadecimal), der.OBJECT_IDENTIFIER)) == name
