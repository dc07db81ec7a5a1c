"""What an X.509 certificate says (RFC 5280), read without a library.

Workers need the SPIFFE id and a few constraints of a peer's certificate, whose signatures OpenSSL has
verified. `cryptography` would read them, too, but costs 20 ms and 10 MB in every worker, three quarters of what
Python, asyncio and ssl take there together; this costs neither. `cryptography` is the tests' oracle.

Any bytes give a `Certificate` or a `ProtocolError`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from meshproxy.base.errors import ProtocolError
from meshproxy.protocols import der
from meshproxy.protocols.der import Element

SERVER_AUTH, CLIENT_AUTH = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"

_BASIC_CONSTRAINTS, _KEY_USAGE, _EXTENDED_KEY_USAGE = "2.5.29.19", "2.5.29.15", "2.5.29.37"
_SUBJECT_ALT_NAME = "2.5.29.17"
_DNS_NAME, _URI = der.CONTEXT | 2, der.CONTEXT | 6
_EXTENSIONS = der.CONTEXT | der.CONSTRUCTED | 3
_VERSION = der.CONTEXT | der.CONSTRUCTED | 0

_REMEMBERED = 1024
"""Certificates; a peer comes again with the same one, and reading it takes 40 µs."""

_KEY_USAGES = (
    "digitalSignature",
    "contentCommitment",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
    "encipherOnly",
    "decipherOnly",
)
_TIME = re.compile(rb"(\d{2}|\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z")


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that decide whom a certificate is for. Times are seconds since 1970.

    `issuer` and `subject` are DER names, for comparing. `key_usage` and `extended_key_usage` (object
    identifiers) are None where the certificate has no such extension.
    """

    serial: int
    issuer: bytes
    subject: bytes
    not_before: float
    not_after: float
    uris: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()
    is_ca: bool = False
    key_usage: frozenset[str] | None = None
    extended_key_usage: tuple[str, ...] | None = None


@lru_cache(maxsize=_REMEMBERED)
def parse(data: bytes) -> Certificate:
    """Read a DER certificate. Its signature is not looked at."""
    tbs = der.expect(next(der.whole(data, der.SEQUENCE).children(), None), der.SEQUENCE)
    fields = [field for field in tbs.children() if field.tag != _VERSION]
    if len(fields) < 6:
        raise ProtocolError("a certificate lacks fields")
    serial, _, issuer, validity, subject, _, *optional = fields
    times = [_time(each) for each in der.expect(validity, der.SEQUENCE).children()]
    if len(times) != 2:
        raise ProtocolError("a certificate's validity is malformed")
    found = dict(_extensions(optional))
    return Certificate(
        serial=int.from_bytes(der.expect(serial, der.INTEGER).contents, signed=True),
        issuer=der.expect(issuer, der.SEQUENCE).encoded,
        subject=der.expect(subject, der.SEQUENCE).encoded,
        not_before=times[0],
        not_after=times[1],
        uris=_names(found.get(_SUBJECT_ALT_NAME), _URI),
        dns_names=_names(found.get(_SUBJECT_ALT_NAME), _DNS_NAME),
        is_ca=_is_ca(found.get(_BASIC_CONSTRAINTS)),
        key_usage=_key_usage(found.get(_KEY_USAGE)),
        extended_key_usage=_extended_key_usage(found.get(_EXTENDED_KEY_USAGE)),
    )


def _extensions(optional: list[Element]) -> Iterator[tuple[str, bytes]]:
    """(object identifier, contents) of each extension (RFC 5280 §4.2: each at most once)."""
    seen: set[str] = set()
    for field in optional:
        if field.tag != _EXTENSIONS:
            continue
        for extension in der.expect(next(field.children(), None), der.SEQUENCE).children():
            parts = [*der.expect(extension, der.SEQUENCE).children()]
            if len(parts) not in (2, 3):  # the middle one is `critical`
                raise ProtocolError("a certificate has a malformed extension")
            identifier = der.object_identifier(parts[0])
            if identifier in seen:
                raise ProtocolError(f"a certificate has the extension {identifier} twice")
            seen.add(identifier)
            yield identifier, der.expect(parts[-1], der.OCTET_STRING).contents


def _time(element: Element) -> float:
    """RFC 5280 §4.1.2.5: UTCTime through 2049, GeneralizedTime after, both in Zulu and with seconds."""
    match = _TIME.fullmatch(element.contents)
    size = {der.UTC_TIME: 2, der.GENERALIZED_TIME: 4}.get(element.tag)
    if match is None or len(match[1]) != size:
        raise ProtocolError("a certificate has a malformed time")
    year, month, day, hour, minute, second = map(int, match.groups())
    if size == 2:
        year += 1900 if year >= 50 else 2000
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError:
        raise ProtocolError("a certificate has a time that does not exist") from None


def _names(extension: bytes | None, tag: int) -> tuple[str, ...]:
    if extension is None:
        return ()
    try:
        names = der.whole(extension, der.SEQUENCE).children()
        return tuple(name.contents.decode("ascii") for name in names if name.tag == tag)
    except UnicodeDecodeError:
        raise ProtocolError("a certificate has a subject alternative name that is not ASCII") from None


def _is_ca(extension: bytes | None) -> bool:
    if extension is None:
        return False
    first = next(der.whole(extension, der.SEQUENCE).children(), None)
    return first is not None and first.tag == der.BOOLEAN and first.contents != b"\0"


def _key_usage(extension: bytes | None) -> frozenset[str] | None:
    if extension is None:
        return None
    contents = der.whole(extension, der.BIT_STRING).contents[1:]
    return frozenset(
        name for bit, name in enumerate(_KEY_USAGES) if bit // 8 < len(contents) and contents[bit // 8] << bit % 8 & 128
    )


def _extended_key_usage(extension: bytes | None) -> tuple[str, ...] | None:
    if extension is None:
        return None
    return tuple(der.object_identifier(each) for each in der.whole(extension, der.SEQUENCE).children())
