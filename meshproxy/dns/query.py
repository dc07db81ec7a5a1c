"""A query's bytes → a question, or the refusal that they deserve."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from meshproxy.dns.names import Labels

HEADER_SIZE = 12
PAYLOAD = 1232
"""The largest UDP message that we send, and say that we take: it fits any IPv6 path (DNS flag day 2020)."""
MAX_TCP = 65535
MIN_PAYLOAD = 512
"""RFC 1035 §4.2.1; a smaller EDNS payload size means this (RFC 6891 §6.2.3)."""

_RESPONSE_BIT = 0x80
_REFUSED_TYPES = frozenset({dns.rdatatype.AXFR, dns.rdatatype.IXFR, dns.rdatatype.MAILA, dns.rdatatype.MAILB})


class Refusal(NamedTuple):
    """What is answered to a message that asks nothing that can be answered; None is silence."""

    reply: bytes | None
    rcode: str = "FORMERR"


class Query(NamedTuple):
    """One question. `limit` is how large the answer may be, in bytes; `plain` means that its bytes tell all of it."""

    message: dns.message.Message
    labels: Labels
    rdtype: dns.rdatatype.RdataType
    limit: int
    plain: bool

    @property
    def type(self) -> str:
        """``A``, ``SRV``, ``TYPE65``."""
        return dns.rdatatype.to_text(self.rdtype)

    @property
    def name(self) -> dns.name.Name:
        return self.message.question[0].name

    @property
    def wire_name(self) -> bytes:
        """The name, spelled as it was asked for, as a question section has it."""
        return encode_name(self.name.labels[:-1])

    @property
    def dnssec_ok(self) -> bool:
        return bool(self.message.ednsflags & dns.flags.DO)

    @property
    def checking_disabled(self) -> bool:
        return bool(self.message.flags & dns.flags.CD)

    @property
    def recursion_desired(self) -> bool:
        return bool(self.message.flags & dns.flags.RD)

    @property
    def has_edns(self) -> bool:
        return self.message.edns >= 0


def read_query(data: bytes, *, tcp: bool) -> Query | Refusal:
    """Read a message from a client. Any bytes give a `Query` or a `Refusal`, and never an exception."""
    if len(data) < HEADER_SIZE or data[2] & _RESPONSE_BIT:
        return Refusal(None)  # to answer an answer could go on for ever
    opcode = data[2] >> 3 & 0xF
    if opcode != dns.opcode.QUERY:
        return _bare_refusal(data, dns.rcode.NOTIMP)
    try:
        message = dns.message.from_wire(data)
    except (dns.exception.DNSException, ValueError, struct.error):
        return _bare_refusal(data, dns.rcode.FORMERR)
    if len(message.question) != 1 or struct.unpack_from("!H", data, 4) != (1,) or message.answer or message.authority:
        return _bare_refusal(data, dns.rcode.FORMERR)
    return _checked(message, tcp=tcp)


def _checked(message: dns.message.Message, *, tcp: bool) -> Query | Refusal:
    question = message.question[0]
    if message.edns > 0:
        return _refusal(message, dns.rcode.BADVERS)  # RFC 6891 §6.1.3
    if question.rdclass != dns.rdataclass.IN or question.rdtype in _REFUSED_TYPES:
        return _refusal(message, dns.rcode.REFUSED)
    if tcp:
        limit = MAX_TCP
    else:
        limit = min(PAYLOAD, max(message.payload, MIN_PAYLOAD)) if message.edns >= 0 else MIN_PAYLOAD
    labels = tuple(each.decode("latin-1").lower() for each in question.name.labels[:-1])
    # Options, such as a cookie, differ from one query to the next: bytes that hold some do not come again.
    plain = not message.options and not message.additional
    return Query(message, labels, question.rdtype, limit, plain)


def encode_name(labels: Iterable[bytes]) -> bytes:
    """Labels without the root's → an uncompressed name (RFC 1035 §3.1)."""
    return b"".join(bytes((len(each),)) + each for each in labels) + b"\0"


def respond(message: dns.message.Message, rcode: dns.rcode.Rcode) -> dns.message.Message:
    """The frame of an answer to `message`: its id, question, and EDNS where it has some."""
    response = dns.message.make_response(message, recursion_available=True, our_payload=PAYLOAD)
    response.flags |= message.flags & dns.flags.CD
    if message.edns >= 0:
        response.use_edns(0, message.ednsflags & dns.flags.DO, PAYLOAD)
    response.set_rcode(rcode)
    return response


def _refusal(message: dns.message.Message, rcode: dns.rcode.Rcode) -> Refusal:
    return Refusal(respond(message, rcode).to_wire(), dns.rcode.to_text(rcode))


def _bare_refusal(data: bytes, rcode: dns.rcode.Rcode) -> Refusal:
    """A header and nothing else: what was asked is not understood. Its opcode and RD bit are repeated."""
    flags = struct.pack("!BB", _RESPONSE_BIT | data[2] & 0x79, rcode)
    return Refusal(data[:2] + flags + bytes(8), dns.rcode.to_text(rcode))
