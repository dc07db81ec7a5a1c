"""Records to the bytes of an answer, truncated where they do not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.CNAME import CNAME
from dns.rdtypes.ANY.PTR import PTR
from dns.rdtypes.ANY.SOA import SOA
from dns.rdtypes.ANY.TXT import TXT
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA
from dns.rdtypes.IN.SRV import SRV

from meshproxy.dns import names
from meshproxy.dns.query import HEADER_SIZE, Query, respond
from meshproxy.dns.zone import Local, Record, Zone

MAX_TURNS = 8
"""Orders in which the addresses of a name are given."""
MAX_TURNED = 4096
"""Bytes of an answer that is kept in several orders."""
_OWNER = b"\xc0\x0c"
"""A pointer to the question's name."""
_ADDRESS_SIZES = {"A": 16, "AAAA": 28}
"""Bytes of a record whose owner is a pointer (RFC 1035 §4.1.4)."""
_RECORD = 12
"""Bytes of another record, its content apart."""
_FRAME = 12 + 4 + 11
"""Bytes of a header, the rest of a question, and an OPT record."""
_REFRESH, _RETRY, _EXPIRE = 7200, 1800, 86400
"""Of a SOA: for secondary servers, which there are none of; CoreDNS' values."""

_IN = dns.rdataclass.IN
_MAKERS: dict[str, Callable[[str], dns.rdata.Rdata]] = {
    "A": lambda data: A(_IN, dns.rdatatype.A, data),
    "AAAA": lambda data: AAAA(_IN, dns.rdatatype.AAAA, data),
    "CNAME": lambda data: CNAME(_IN, dns.rdatatype.CNAME, dns.name.from_text(data)),
    "PTR": lambda data: PTR(_IN, dns.rdatatype.PTR, dns.name.from_text(data)),
    "TXT": lambda data: TXT(_IN, dns.rdatatype.TXT, [data]),
    "SRV": lambda data: _srv(*data.split()),
}


def _srv(priority: str, weight: str, port: str, target: str) -> dns.rdata.Rdata:
    return SRV(_IN, dns.rdatatype.SRV, int(priority), int(weight), int(port), dns.name.from_text(target))


def render(query: Query, found: Local, zone: Zone, chased: Iterable[dns.rrset.RRset] = ()) -> bytes:
    """The answer to `query`; `chased` is what an alias led to."""
    response = respond(query.message, dns.rcode.NOERROR if found.exists else dns.rcode.NXDOMAIN)
    response.flags |= dns.flags.AA
    records = _fitting(query, found.records)
    if len(records) < len(found.records):
        response.flags |= dns.flags.TC
    response.answer = [*rrsets(records, zone.ttl, query.name), *chased]
    if found.records:
        response.additional = list(rrsets(_fitting(query, found.additional), zone.ttl, query.name))
    else:
        response.authority = [_soa(found.origin, zone)]
    return fit(response, query.limit)


def fit(response: dns.message.Message, limit: int) -> bytes:
    """The message in at most `limit` bytes; TC says so where more than additional records is left out of it."""
    return response.to_wire(max_size=limit, prefer_truncation=True, want_shuffle=False)


def render_failure(query: Query, rcode: dns.rcode.Rcode) -> bytes:
    """An answer that holds nothing but `rcode`."""
    return respond(query.message, rcode).to_wire()


def turns(query: Query, wire: bytes) -> tuple[bytes, ...]:
    """`wire`, an answer to `query`, with its addresses in several orders, so that each comes first in its turn.

    Addresses of one name are records of one size, which follow the question. Others have an order, or need none.
    """
    count, size = int.from_bytes(wire[6:8], "big"), _ADDRESS_SIZES.get(query.type, 0)
    start = HEADER_SIZE + len(query.wire_name) + 4
    end = start + count * size
    owned = all(wire[place : place + 2] == _OWNER for place in range(start, end, size or 1))
    if count < 2 or not size or not owned or len(wire) > MAX_TURNED:
        return (wire,)
    starts = (start + size * (turn * count // min(count, MAX_TURNS)) for turn in range(min(count, MAX_TURNS)))
    return tuple(wire[:start] + wire[first:end] + wire[start:first] + wire[end:] for first in starts)


def _fitting(query: Query, records: Sequence[Record]) -> Sequence[Record]:
    """The first of `records`, as many as may fit. A client that sees TC asks again by TCP."""
    room = query.limit - _FRAME - len(query.wire_name)
    for index, record in enumerate(records):
        room -= _ADDRESS_SIZES.get(record.type) or _RECORD + len(record.data)
        if room < 0:
            return records[:index]
    return records


def rrsets(records: Iterable[Record], ttl: int, asked: dns.name.Name | None = None) -> Iterator[dns.rrset.RRset]:
    """Records by owner and type, in their order. A name is spelled as it was `asked` for (RFC 4343 §4.1)."""
    grouped: dict[tuple[str, str], list[dns.rdata.Rdata]] = {}
    for owner, kind, data in records:
        grouped.setdefault((owner, kind), []).append(_MAKERS[kind](data))
    for (owner, _), rdatas in grouped.items():
        name = dns.name.from_text(owner)
        yield dns.rrset.from_rdata_list(asked if asked == name else name, ttl, rdatas)


def _soa(origin: names.Labels, zone: Zone) -> dns.rrset.RRset:
    """Who says that there is nothing, and for how long: the SOA's TTL and minimum are one (RFC 2308 §3, §5)."""
    owner = dns.name.from_text(names.text_of(origin))
    server, mailbox = (dns.name.from_text(f"{each}.{owner}") for each in ("ns.dns", "hostmaster"))
    soa = SOA(_IN, dns.rdatatype.SOA, server, mailbox, zone.serial, _REFRESH, _RETRY, _EXPIRE, zone.ttl)
    return dns.rrset.from_rdata(owner, zone.ttl, soa)
