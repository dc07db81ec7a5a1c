"""X.501 names in DER as text (RFC 2253), as OpenSSL's `XN_FLAG_RFC2253` and therefore Envoy write them.

What is no printable ASCII is escaped, so that the text may stand in a header's field.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from meshproxy.base.errors import ProtocolError
from meshproxy.protocols import der
from meshproxy.protocols.der import Element

SET = 0x31
_SHORT_NAMES = {
    "2.5.4.3": "CN",
    "2.5.4.4": "SN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "street",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "title",
    "2.5.4.42": "GN",
    "2.5.4.97": "organizationIdentifier",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "emailAddress",
}
"""OpenSSL's, by object identifier."""
_ENCODINGS = {
    12: "utf-8",
    18: "ascii",
    19: "ascii",
    20: "latin-1",
    22: "ascii",
    26: "ascii",
    28: "utf-32-be",
    30: "utf-16-be",
}
"""By the tags of ASN.1's kinds of strings (X.680 §8.6)."""
_SPECIAL = frozenset(b',+"\\<>;')
_REMEMBERED = 1024


@lru_cache(maxsize=_REMEMBERED)
def text_of_name(encoded: bytes) -> str:
    """``CN=web,O=Example``: the last part first. Raises `ProtocolError`."""
    sets = [list(der.expect(each, SET).children()) for each in der.whole(encoded, der.SEQUENCE).children()]
    return ",".join("+".join(_attribute(each) for each in reversed(parts)) for parts in reversed(sets))


def _attribute(element: Element) -> str:
    parts = [*der.expect(element, der.SEQUENCE).children()]
    if len(parts) != 2:
        raise ProtocolError("a certificate has a malformed name")
    identifier = der.object_identifier(parts[0])
    name = _SHORT_NAMES.get(identifier)
    return f"{name or identifier}={_value(parts[1], is_known=name is not None)}"


def _value(element: Element, *, is_known: bool) -> str:
    encoding = _ENCODINGS.get(element.tag)
    if not is_known or encoding is None:
        return "#" + element.encoded.hex().upper()
    try:
        return "".join(_escaped(element.contents.decode(encoding).encode()))
    except UnicodeError:
        raise ProtocolError("a certificate has a name that is no text") from None


def _escaped(text: bytes) -> Iterator[str]:
    """RFC 2253 §2.4."""
    for at, byte in enumerate(text):
        is_edge = (at == 0 and byte in b" #") or (at == len(text) - 1 and byte == 0x20)
        if byte in _SPECIAL or is_edge:
            yield "\\" + chr(byte)
        elif 0x20 <= byte < 0x7F:
            yield chr(byte)
        else:
            yield f"\\{byte:02X}"
