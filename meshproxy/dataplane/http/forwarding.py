"""Heads on their way through: what is taken out, what is said of the client (RFC 9110 §7.6, RFC 7239's forerunners)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

from meshproxy.dataplane.http.header_edits import HeaderEdit, apply_all, field, without
from meshproxy.dataplane.tls.peer import TLSFacts
from meshproxy.protocols.http1 import syntax
from meshproxy.protocols.http1.request import FORWARDING, RequestHead
from meshproxy.protocols.http1.response import ResponseHead

_HOP_BY_HOP = (b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade", b"http2-settings")
_SPELLINGS = tuple(name.replace(b"-", b"[-_]") for name in FORWARDING)
_TAKE_HOP_BY_HOP = without(*_HOP_BY_HOP)
_TAKE_TOLD = syntax.named(*_SPELLINGS)
_TAKE_MISSPELT = re.compile(rb"\r\n(?=[^\r:]*_)(?i:" + b"|".join(_SPELLINGS) + rb"):[^\r]*+")
"""What a proxy that is believed has passed on unseen, while programs further on take it for what it looks like."""
_TAKE_EXTENDED = without(b"x-forwarded-for", b"x-forwarded-client-cert")
_TAKE_HOST = without(b"host")
_TAKE_EXPECT = without(b"expect")
TAKE_CHUNKED = without(b"transfer-encoding", b"trailer")
"""For a client that knows no chunks."""
_TAKE_RESPONSE_HOP_BY_HOP = without(b"connection", b"keep-alive", b"proxy-connection", b"upgrade")

_TWO_DIGITS: Final = [b"%02x" % number for number in range(256)]


class RequestIds:
    """Ids of 32 hexadecimal digits: half of them this worker's, half of them counted, and neither only zeros."""

    __slots__ = ("_count", "_prefix", "_worker")

    def __init__(self, worker: int) -> None:
        self._worker = b"%016x" % (worker or 1)
        self._count = 256
        self._prefix = b""
        """All but the last two digits: writing numbers takes longer than looking those up."""

    def next(self) -> bytes:
        last = self._count & 255
        if not last:
            self._prefix = self._worker + b"%014x" % (self._count >> 8)
        self._count += 1
        return self._prefix + _TWO_DIGITS[last]


class ClientFacts:
    """What upstreams are told about the client of a connection, and who its requests count for.

    `address` is the connection's peer. Where that is one of `trusted`, a request's own X-Forwarded-* and
    X-Request-Id are believed and extended. `tls` is None for a plain connection.
    """

    __slots__ = ("_certificate", "_fixed", "_ids", "_trusted", "address", "is_trusted", "scheme", "tls")

    def __init__(
        self, address: str, trusted: Sequence[IPv4Network | IPv6Network], ids: RequestIds, tls: TLSFacts | None = None
    ) -> None:
        self.address = address
        self.tls = tls
        self.scheme = "https" if tls is not None else "http"
        self._certificate = tls.client_certificate_field() if tls is not None else b""
        self._trusted = trusted
        self._ids = ids
        self.is_trusted = bool(trusted) and _is_in(address, trusted)
        name = address.partition("%")[0].encode()
        fixed = field(b"X-Forwarded-For", name) + field(b"X-Forwarded-Proto", self.scheme.encode())
        if self._certificate:
            fixed += field(b"X-Forwarded-Client-Cert", self._certificate)
        self._fixed = fixed + b"\r\nX-Forwarded-Host: "

    def fields(self, head: RequestHead) -> tuple[bytes, bytes, str]:
        """(field lines to add, request id, the client's address) for a request from a client that is not believed."""
        request_id = self._ids.next()
        return self._fixed + head.authority + b"\r\nX-Request-Id: " + request_id, request_id, self.address

    def believed_fields(self, head: RequestHead) -> tuple[bytes, bytes, str]:
        """The same from one that is: what it says stays, this connection is added, what is missing is made up for."""
        told: dict[bytes, list[bytes]] = {}
        for name, value in head.forwarding or ():
            told.setdefault(name, []).append(value)
        hops = [*told.get(b"x-forwarded-for", ()), self.address.partition("%")[0].encode()]
        lines = [field(b"X-Forwarded-For", b", ".join(hops))]
        if b"x-forwarded-proto" not in told:
            lines.append(field(b"X-Forwarded-Proto", self.scheme.encode()))
        if b"x-forwarded-host" not in told:
            lines.append(field(b"X-Forwarded-Host", head.authority))
        certificates = [*told.get(b"x-forwarded-client-cert", ()), self._certificate]
        if any(certificates):
            lines.append(field(b"X-Forwarded-Client-Cert", b",".join(each for each in certificates if each)))
        ids = told.get(b"x-request-id")
        request_id = ids[0] if ids else self._ids.next()
        if not ids:
            lines.append(field(b"X-Request-Id", request_id))
        return b"".join(lines), request_id, self._original(told.get(b"x-forwarded-for", ()))

    def scheme_of(self, head: RequestHead) -> str:
        """How the client asked: by this connection, or as a proxy that is believed says."""
        if self.is_trusted:
            for name, value in head.forwarding or ():
                if name == b"x-forwarded-proto" and value.lower() in (b"http", b"https"):
                    return value.lower().decode()
        return self.scheme

    def _original(self, forwarded_for: Sequence[bytes]) -> str:
        """The rightmost address that is not a trusted proxy's; the leftmost where all are."""
        address = self.address
        for text in reversed(b",".join(forwarded_for).decode("latin-1").split(",")):
            hop = text.strip()
            try:
                ip_address(hop)
            except ValueError:
                break
            address = hop
            if not _is_in(hop, self._trusted):
                break
        return address


def _is_in(address: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    parsed = ip_address(address.partition("%")[0])
    return any(parsed in network for network in networks)


def request_head(head: RequestHead, told: bytes, believed: bool, default_host: bytes) -> bytes:
    """The head for an upstream, `told` being the field lines about the client; without edits."""
    forwarded = head.forwarded if head.hop_by_hop else head.raw
    if forwarded is not None and not (head.forwarding or head.is_absolute or head.minor == 0):
        return b"".join((forwarded[:-4], told, b"\r\n\r\n"))
    line, fields = _request_parts(head, believed, default_host)
    return line + fields + told + b"\r\n\r\n"


def edited_request_head(
    head: RequestHead, told: bytes, believed: bool, default_host: bytes, target: bytes, host: bytes | None,
    edits: Sequence[HeaderEdit],
) -> bytes:  # fmt: skip
    """The head for an upstream with another `target`, another `host` (None: as it is), and `edits`."""
    _, fields = _request_parts(head, believed, default_host)
    if host is not None:
        fields = field(b"Host", host) + _TAKE_HOST.sub(b"", fields)
    fields = apply_all(edits, fields + told)
    return head.method + b" " + target + b" HTTP/1.1" + fields + b"\r\n\r\n"


def _request_parts(head: RequestHead, believed: bool, default_host: bytes) -> tuple[bytes, bytes]:
    """(request line, field lines without what is for this hop only)."""
    raw = head.raw
    end = raw.index(b"\r\n")
    line, fields = raw[:end], raw[end:-4]
    if head.hop_by_hop:
        fields = _TAKE_HOP_BY_HOP.sub(b"", fields)
        if head.nominated:
            fields = without(*head.nominated).sub(b"", fields)
        fields += _hop_fields(head)
    if head.forwarding:
        fields = _TAKE_MISSPELT.sub(b"", _TAKE_EXTENDED.sub(b"", fields)) if believed else _TAKE_TOLD.sub(b"", fields)
    if head.is_absolute:
        fields = field(b"Host", head.authority) + _TAKE_HOST.sub(b"", fields)
        line = head.method + b" " + origin_form(head) + b" HTTP/1.1"
    else:
        line = line[:-1] + b"1"
    if head.minor == 0:
        fields = _TAKE_EXPECT.sub(b"", fields)
        if not head.authority:
            fields = field(b"Host", default_host) + _TAKE_HOST.sub(b"", fields)
    return line, fields


def origin_form(head: RequestHead) -> bytes:
    """The target as an origin server is sent it (RFC 9112 §3.2.1)."""
    return head.path if head.query_part is None else head.path + b"?" + head.query_part


def _hop_fields(head: RequestHead) -> bytes:
    """What this hop says to the next one in place of what the last one said to it."""
    lines = b""
    if head.upgrade is not None and takes_upgrade(head.upgrade):
        lines = b"\r\nConnection: upgrade" + field(b"Upgrade", head.upgrade)
    te = head.header(b"te")
    if te is not None and b"trailers" in te.lower():
        lines += b"\r\nTE: trailers" + (b"" if lines else b"\r\nConnection: te")
    return lines


def takes_upgrade(protocols: bytes) -> bool:
    """Whether an upgrade is passed on: any but to HTTP/2, which would hide requests from the rules."""
    return b"h2c" not in protocols.lower() and b"http" not in protocols.lower() and b"tls" not in protocols.lower()


def upgrade_head(head: ResponseHead, asked: bytes, edits: Sequence[HeaderEdit], added: bytes) -> bytes:
    """The head of a 101 for the client, which `asked` for it."""
    connection = b"\r\nConnection: upgrade" + field(b"Upgrade", head.upgrade or asked)
    return response_head(head, connection, edits, added)


def response_head(head: ResponseHead, connection: bytes, edits: Sequence[HeaderEdit], added: bytes) -> bytes:
    """The head for the client: `connection` and `added` are field lines, each with the line break before it."""
    raw = head.raw
    if not (connection or edits or added) and head.minor:
        if not head.hop_by_hop:
            return raw
        if head.forwarded is not None:
            return head.forwarded
    end = raw.index(b"\r\n")
    line, fields = raw[:end], raw[end:-4]
    if not head.minor:
        line = b"HTTP/1.1" + line[8:]
    if head.hop_by_hop:
        fields = _TAKE_RESPONSE_HOP_BY_HOP.sub(b"", fields)
        if head.nominated:
            fields = without(*head.nominated).sub(b"", fields)
    if edits:
        fields = apply_all(edits, fields)
    return line + fields + added + connection + b"\r\n\r\n"
