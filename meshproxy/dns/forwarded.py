"""What an upstream answered, kept as the bytes that it sent: times to live and the question's spelling are patched.

To decode such an answer and encode it again would cost ten times as much, and lose what we do not know of.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from meshproxy.base.errors import ProtocolError
from meshproxy.dns.query import HEADER_SIZE, PAYLOAD, Query, respond
from meshproxy.dns.rendering import fit

MAX_TTL = 86400
"""Seconds that an answer is kept at most (CoreDNS: an hour; RFC 8767 §4: a week)."""
MAX_NEGATIVE_TTL = 3600
"""RFC 2308 §5: one to three hours are sensible."""
STALE_TTL = 30
"""Seconds that clients are told to keep an answer that is too old (RFC 8767 §4)."""

_HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHIH")
_TTL = struct.Struct("!I")
_POINTER = 0xC0
_CNAME, _SOA, _OPT = dns.rdatatype.CNAME, dns.rdatatype.SOA, dns.rdatatype.OPT
_RCODE_BITS = 0xF


class MalformedAnswer(ProtocolError):
    """An upstream's message is not one, or not the answer to our question."""


class Forwarded(NamedTuple):
    """An answer without its OPT record, which speaks of one hop only.

    `ttl_places` are offsets into `wire`, `ttl` how many seconds it may be kept, 0 for not at all.
    `stored_at` is the clock's time, `upstream` who answered.
    """

    wire: bytes
    ttl_places: tuple[int, ...]
    ttl: int
    rcode: dns.rcode.Rcode
    stored_at: float
    upstream: str

    @property
    def expires_at(self) -> float:
        return self.stored_at + self.ttl

    def left(self, now: float) -> int:
        """Whole seconds until it expires."""
        return max(0, int(self.expires_at - now))

    def render(self, query: Query, now: float) -> bytes:
        """The answer to `query`, whose question is that of this answer but for upper and lower case."""
        wire = bytearray(self.wire)
        for place in self.ttl_places:
            (ttl,) = _TTL.unpack_from(wire, place)
            _TTL.pack_into(wire, place, self._aged(ttl, now))
        wire[0:2] = query.message.id.to_bytes(2, "big")
        wire[2] = wire[2] & ~(dns.flags.AA >> 8) & 0xFE | (query.message.flags >> 8 & 1)
        wire[3] = wire[3] & ~dns.flags.AD & 0xFF | dns.flags.RA  # we validate nothing (RFC 4035 §3.2.3)
        name = query.wire_name
        wire[HEADER_SIZE : HEADER_SIZE + len(name)] = name
        if query.has_edns:
            wire += _opt(query, self.rcode)
            wire[10:12] = (int.from_bytes(wire[10:12], "big") + 1).to_bytes(2, "big")
        return bytes(wire) if len(wire) <= query.limit else self._truncated(query)

    def _truncated(self, query: Query) -> bytes:
        response = respond(query.message, self.rcode)
        response.flags |= dns.flags.TC
        return fit(response, query.limit)

    def answers(self, now: float) -> list[dns.rrset.RRset]:
        """The records of its answer section; raises `MalformedAnswer` where they cannot be read."""
        try:
            answers = dns.message.from_wire(self.wire).answer
        except (dns.exception.DNSException, ValueError, struct.error) as error:
            raise MalformedAnswer(f"{self.upstream} sent records that cannot be read: {error}") from None
        for rrset in answers:
            rrset.ttl = self._aged(rrset.ttl, now)
        return answers

    def _aged(self, ttl: int, now: float) -> int:
        """What is left of a record's time to live."""
        if self.ttl and now >= self.expires_at:
            return STALE_TTL
        return max(0, min(ttl, MAX_TTL) - int(now - self.stored_at))


def read_answer(data: bytes, question: bytes, now: float, upstream: str) -> Forwarded:
    """Read the answer to `question`, the question section that was sent.

    Any bytes give a `Forwarded` or raise `MalformedAnswer`. Names are walked over, not followed.
    """
    try:
        return _read(data, question, now, upstream)
    except (struct.error, IndexError):
        raise MalformedAnswer(f"{upstream} sent a message that ends too early") from None


def is_answer_to(data: bytes, message_id: int, question: bytes) -> bool:
    """Whether `data` claims to answer what was asked: id and question, in upper or lower case, must be ours."""
    if len(data) < HEADER_SIZE + len(question) or not data[2] & 0x80:
        return False
    asked = data[HEADER_SIZE : HEADER_SIZE + len(question)]
    return data[0:2] == message_id.to_bytes(2, "big") and data[4:6] == b"\0\1" and asked.lower() == question.lower()


def _read(data: bytes, question: bytes, now: float, upstream: str) -> Forwarded:
    _, flags, _, answers, authorities, additionals = _HEADER.unpack_from(data)
    at = HEADER_SIZE + len(question)
    records = list(_walk(data, at, answers + authorities + additionals))
    wire = data[: records[-1].end if records else at]
    rcode = flags & _RCODE_BITS
    opts = [each for each in records if each.type == _OPT]
    if opts:
        opt = opts[0]
        if opt is not records[-1]:
            return _read(_without_opt(wire), question, now, upstream)
        rcode |= opt.ttl >> 24 << 4
        records.pop()
        wire = wire[:10] + (additionals - 1).to_bytes(2, "big") + wire[12 : opt.start]
    return Forwarded(
        wire=bytes(wire),
        ttl_places=tuple(each.ttl_place for each in records),
        ttl=_lifetime(rcode, int.from_bytes(question[-4:-2], "big"), records, answers),
        rcode=dns.rcode.Rcode(rcode),
        stored_at=now,
        upstream=upstream,
    )


class _Walked(NamedTuple):
    """A record in passing: offsets of its start, its TTL and its end. `minimum` is its last number, a SOA's minimum."""

    start: int
    type: int
    ttl: int
    ttl_place: int
    end: int
    minimum: int


def _walk(data: bytes, at: int, count: int) -> Iterator[_Walked]:
    for _ in range(count):
        start, at = at, _after_name(data, at)
        kind, _, ttl, size = _RECORD.unpack_from(data, at)
        end = at + _RECORD.size + size
        if end > len(data):
            raise MalformedAnswer("a record is longer than its message")
        (minimum,) = _TTL.unpack_from(data, end - 4)
        yield _Walked(start, kind, ttl if ttl < 2**31 or kind == _OPT else 0, at + 4, end, minimum)  # RFC 2181 §8
        at = end


def _lifetime(rcode: int, wanted: int, records: Sequence[_Walked], answers: int) -> int:
    """How long an answer may be kept; one that says no, as its SOA says, and without one not at all (RFC 2308 §5)."""
    if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return 0
    ttls = [each.ttl for each in records]
    found = any(each.type in (wanted, _CNAME) or wanted == dns.rdatatype.ANY for each in records[:answers])
    leads_on = records[:answers] and all(each.type == _CNAME != wanted for each in records[:answers])
    if rcode == dns.rcode.NOERROR and found and not leads_on:
        return min([MAX_TTL, *ttls])
    minimums = [each.minimum for each in records[answers:] if each.type == _SOA]
    return min([MAX_NEGATIVE_TTL, *minimums, *ttls]) if minimums else 0


def _after_name(data: bytes, at: int) -> int:
    """Where the name at `at` ends. A pointer may only lead back (RFC 1035 §4.1.4), so no two are a loop."""
    start = at
    while True:
        length = data[at]
        if length >= _POINTER:
            if int.from_bytes(data[at : at + 2], "big") & 0x3FFF >= start:
                raise MalformedAnswer("a compressed name leads forward")
            return at + 2
        if length > 63:
            raise MalformedAnswer("a label has a reserved kind")
        at += length + 1
        if not length:
            return at


def _without_opt(data: bytes) -> bytes:
    """`data` encoded anew, for the rare upstream whose OPT record is not the last: what follows would move."""
    try:
        message = dns.message.from_wire(data)
    except (dns.exception.DNSException, ValueError) as error:
        raise MalformedAnswer(f"records that cannot be read: {error}") from None
    message.use_edns(False)
    return message.to_wire()


def _opt(query: Query, rcode: int) -> bytes:
    flags = dns.flags.DO if query.dnssec_ok else 0
    return b"\0" + _RECORD.pack(_OPT, PAYLOAD, (rcode >> 4) << 24 | flags, 0)
