"""A request's head (RFC 9112 §3, RFC 9110 §7).

Refused, because implementations differ on where such a request ends or where it goes: Content-Length
beside Transfer-Encoding, more than one Content-Length or one that is not digits only, a Transfer-Encoding other
than ``chunked`` or in HTTP/1.0, bare LF or CR, folded lines, white space before a colon, control characters,
a Host that is missing, repeated or no authority, a target that is none of RFC 9112 §3.2's forms.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Final

from meshproxy.protocols.http1 import syntax
from meshproxy.protocols.http1.errors import MalformedRequest

CHUNKED: Final = -1
"""A content length that means: the body is chunked."""

_METHOD = rb"(?!CONNECT |PRI )" + syntax.TOKEN + rb"{1,32}+"
_TARGET = rb"[\x21\x22\x24-\x7e]++"
_HEAD: Final = re.compile(rb"(" + _METHOD + rb") (" + _TARGET + rb") HTTP/1\.([0-9])\r\n" + syntax.FIELDS + rb"\r\n")
_REQUEST_LINE = re.compile(_METHOD + rb" " + _TARGET + rb" HTTP/1\.[0-9]")
_BEGINNING = re.compile(
    _METHOD + rb"(?:\Z| (?:\Z|" + _TARGET
    + syntax.begun(b" HTTP/1.", rb"(?:\Z|[0-9]" + syntax.begun(b"\r\n", syntax.FIELDS_BEGINNING) + rb")")
    + rb"))"
)  # fmt: skip
"""What `_HEAD` can begin with, and nothing else."""
FORWARDING = (
    b"x-forwarded-client-cert",
    b"x-forwarded-for",
    b"x-forwarded-proto",
    b"x-forwarded-host",
    b"x-forwarded-port",
    b"x-forwarded-server",
    b"x-real-ip",
    b"x-request-id",
    b"forwarded",
)
"""Fields that say what other proxies saw. CGI, WSGI and their like take ``X_Forwarded_For`` for the same."""
_SPECIAL_NAMES = (
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"proxy-authenticate",
    b"te",
    b"upgrade",
    b"expect",
    b"http2-settings",
    *(name.replace(b"-", b"[-_]") for name in FORWARDING),
)
"""Fields that framing, routing or forwarding depends on."""
_SPECIAL: Final = syntax.named(*_SPECIAL_NAMES)
_OTHERS = syntax.unnamed(*_SPECIAL_NAMES)
_USUAL: Final = re.compile(
    rb"(" + _METHOD + rb") (/[\x21\x22\x24-\x7e]*+) HTTP/1\.1\r\n" + _OTHERS
    + rb"(?i:host):[ \t]*+([^\r\n \t]++)\r\n" + _OTHERS
    + rb"((?i:connection):[ \t]*+keep-alive\r\n" + rb")?" + _OTHERS + rb"\r\n"
)  # fmt: skip
"""The heads that most requests without a body have, read in one pass: what it does not match is read as any head is."""
_LENGTH = re.compile(rb"[0-9]{1,18}+")
_LABEL = rb"[0-9A-Za-z_~-]++"
_AUTHORITY = re.compile(
    rb"(?:\[(?P<ipv6>[0-9A-Fa-f:.]{2,45}+)\]|(?P<name>" + _LABEL + rb"(?:\." + _LABEL + rb")*+)\.?)"
    rb"(?::(?P<port>[0-9]{0,5}))?"
)
"""``uri-host [":" port]`` (RFC 9110 §7.2) without userinfo, and stricter than RFC 3986 §3.2.2: what a list or a decoder
further on could read as another host (``%61``, ``a,b``, ``a;b``) is none, nor are empty labels (nginx: the same)."""
_MAX_AUTHORITY = 253 + len(".:65535")
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?]++)(/[^?]*+)?(\?.*+)?")

_FORWARDING = frozenset(FORWARDING)


class RequestHead:
    """A valid head. Implements `routing.api.Request`.

    `raw` is the whole head, its last empty line included. `target` is as sent, `authority` where it is
    meant to go (Host, or an absolute target's), `host` that in lower case without port and final dot. `path` and
    `query_part` (None without ``?``) are the target's; ``*`` has the path ``*``. `minor` is the version's, 0 or 1.
    `length` is the body's, `CHUNKED`, or 0. `keep_alive` says that the client would send another request.
    `upgrade` is the Upgrade field where Connection names it, `hop_by_hop` whether a field must be taken out before
    the head is passed on, `nominated` the fields that Connection names, lower case. `forwarding` holds (name, value)
    of fields that say what other proxies saw, those with a ``_`` in their names among them. `forwarded` is the head
    without fields for this hop, where that is known already.
    """

    __slots__ = (
        "authority",
        "expects_continue",
        "forwarded",
        "forwarding",
        "hop_by_hop",
        "host",
        "is_absolute",
        "keep_alive",
        "length",
        "method",
        "minor",
        "nominated",
        "path",
        "query_part",
        "raw",
        "target",
        "upgrade",
    )

    def __init__(self, raw: bytes, method: bytes, target: bytes, minor: int) -> None:
        self.raw = raw
        self.method = method
        self.target = target
        self.minor = minor
        self.length = 0
        self.keep_alive = minor == 1
        self.upgrade: bytes | None = None
        self.expects_continue = False
        self.hop_by_hop = False
        self.forwarded: bytes | None = None
        self.is_absolute = False
        self.nominated: tuple[bytes, ...] = ()
        self.forwarding: list[tuple[bytes, bytes]] | None = None
        self.authority = self.host = b""
        self.path, mark, query = target.partition(b"?")
        self.query_part: bytes | None = query if mark else None

    @property
    def query(self) -> bytes:
        return self.query_part or b""

    def header(self, name: bytes) -> bytes | None:
        """Implements `routing.api.Request`."""
        return syntax.joined(self.raw, name)


def parse_request(raw: bytes) -> RequestHead:
    """The head that `raw` is, from its first byte to the empty line that ends it; raises `MalformedRequest`."""
    usual = _USUAL.fullmatch(raw)
    if usual is not None:
        method, target, head_authority, keep_alive = usual.groups()
        head = RequestHead(raw, method, target, 1)
        head.authority = head_authority
        if keep_alive is not None:
            start, end = usual.span(4)
            head.hop_by_hop = True
            head.forwarded = raw[:start] + raw[end:]
        _check_target(head, 1)
        return head
    match = _HEAD.fullmatch(raw)
    if match is None:
        raise _explain(raw)
    method, target, minor = match.groups()
    head = RequestHead(raw, method, target, 0 if minor == b"0" else 1)
    head.hop_by_hop = minor not in b"01"  # a version to come is said to this hop only
    hosts = 0
    rare: list[tuple[bytes, bytes]] | None = None
    for name, value in _SPECIAL.findall(raw):
        if len(name) == 4 and name in (b"Host", b"host"):
            hosts += 1
            head.authority = value.rstrip(b" \t")
        elif value == b"keep-alive" and head.minor and name in (b"Connection", b"connection"):
            head.hop_by_hop = True  # and it is what HTTP/1.1 does anyway
        elif rare is None:
            rare = [(name.lower(), value.rstrip(b" \t"))]
        else:
            rare.append((name.lower(), value.rstrip(b" \t")))
    if rare is not None:
        hosts += _read_rare(head, rare)
    _check_target(head, hosts)
    return head


def _read_rare(head: RequestHead, fields: list[tuple[bytes, bytes]]) -> int:
    """Read the fields that most requests do not have; returns how many Host fields were among them."""
    by_name: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        if name.replace(b"_", b"-") in _FORWARDING:
            if head.forwarding is None:
                head.forwarding = []
            head.forwarding.append((name, value))
        else:
            by_name.setdefault(name, []).append(value)
    hosts = by_name.get(b"host", ())
    for value in hosts:
        head.authority = value
    _read_framing(head, by_name.get(b"content-length", ()), by_name.get(b"transfer-encoding", ()))
    if b"connection" in by_name:
        _read_connection(head, b",".join(by_name[b"connection"]), by_name)
    if by_name.keys() & {b"keep-alive", b"proxy-connection", b"te", b"upgrade", b"http2-settings"}:
        head.hop_by_hop = True
    for value in by_name.get(b"expect", ()):
        if value.lower() != b"100-continue":
            raise MalformedRequest(417, "the expectation is not 100-continue")
        head.expects_continue = head.minor == 1
    return len(hosts)


def _read_framing(head: RequestHead, lengths: list[bytes] | tuple[()], codings: list[bytes] | tuple[()]) -> None:
    """RFC 9112 §6.3, where it leaves a choice the strict one."""
    if codings:
        if head.minor == 0:
            raise MalformedRequest(400, "Transfer-Encoding in HTTP/1.0")
        if lengths:
            raise MalformedRequest(400, "Content-Length beside Transfer-Encoding")
        if len(codings) > 1 or codings[0].lower() != b"chunked":
            raise _explain_codings(codings)
        head.length = CHUNKED
    elif lengths:
        if len(lengths) > 1:
            raise MalformedRequest(400, "more than one Content-Length")
        if not _LENGTH.fullmatch(lengths[0]):
            if lengths[0].isdigit():
                raise MalformedRequest(413, "the Content-Length has more than 18 digits")
            raise MalformedRequest(400, "the Content-Length is not a number")
        head.length = int(lengths[0])


def _read_connection(head: RequestHead, value: bytes, fields: dict[bytes, list[bytes]]) -> None:
    """RFC 9110 §7.6.1. What it names is taken out, but for the fields that everything rests on."""
    options = syntax.tokens(value)
    head.hop_by_hop = True
    if b"close" in options:
        head.keep_alive = False
    elif b"keep-alive" in options:
        head.keep_alive = True
    if b"upgrade" in options and b"upgrade" in fields and head.minor == 1 and not head.length:
        # With a body it is ignored (RFC 9110 §7.8 lets us): parsers differ on whether the body still is one.
        head.upgrade = b", ".join(fields[b"upgrade"])
    known = {b"close", b"keep-alive", b"upgrade", b"te", b"http2-settings"}
    named = [each for each in options if each not in known]
    if named:
        protected = {b"host", b"content-length", b"transfer-encoding", b"content-type", b"cookie", b"authorization"}
        if protected.intersection(named):
            raise MalformedRequest(400, "Connection names a field that is meant for the whole way")
        if not all(map(syntax.IS_TOKEN.fullmatch, named)):
            raise MalformedRequest(400, "Connection is not a list of tokens")
        head.nominated = tuple(named)


def _check_target(head: RequestHead, hosts: int) -> None:
    """RFC 9112 §3.2: the target's form, and the host that it, or the one Host field, names."""
    if hosts != 1 and (hosts or head.minor):
        raise MalformedRequest(400, "more than one Host" if hosts else "no Host")
    if head.target[0] != 0x2F:  # "/"
        _check_other_form(head)
    if hosts or head.is_absolute:
        head.host = _host_of(head.authority)


@lru_cache(maxsize=1024)
def _host_of(authority: bytes) -> bytes:
    """The host in lower case; raises `MalformedRequest`.

    Kept, as a proxy hears the same few over and over; errors are not, so that what is kept is small. An empty Host is
    an error: an http URL without a host is none (RFC 9110 §4.2.1; nginx: the same).
    """
    match = _AUTHORITY.fullmatch(authority) if len(authority) <= _MAX_AUTHORITY else None
    if match is None or int(match["port"] or 0) > 65535:
        raise MalformedRequest(400, "the Host is no host name with a port")
    if match["ipv6"] is None:
        return match["name"].lower()
    try:
        ipaddress.IPv6Address(match["ipv6"].decode())
    except ValueError:
        raise MalformedRequest(400, "the Host is no IPv6 address") from None
    return b"[" + match["ipv6"].lower() + b"]"


def _check_other_form(head: RequestHead) -> None:
    if head.target == b"*":
        if head.method != b"OPTIONS":
            raise MalformedRequest(400, "the target * is for OPTIONS only")
        return
    match = _ABSOLUTE.fullmatch(head.target)
    if match is None:
        raise MalformedRequest(400, "the target is neither a path nor an http URL")
    if head.authority:
        _host_of(head.authority)  # RFC 9112 §3.2: an invalid Host is an error even where it is not used
    head.is_absolute = True
    head.authority = match[1]
    head.path = match[2] or b"/"
    head.query_part = match[3][1:] if match[3] else None
    if head.method == b"OPTIONS" and not match[2] and not match[3]:
        head.path = b"*"  # RFC 9112 §3.2.4


# -- what is wrong -----------------------------------------------------------------------


def _explain(raw: bytes) -> MalformedRequest:
    """Why `raw` is neither a head nor the beginning of one."""
    line, end, fields = raw.partition(b"\r\n")
    if end and _REQUEST_LINE.fullmatch(line):
        return MalformedRequest(400, explain_fields(fields))
    if not end:
        line = line.removesuffix(b"\r")
    if syntax.BARE_LF.search(line) or b"\r" in line:
        return MalformedRequest(400, "a line ends in a bare LF or CR")
    method, _, rest = line.partition(b" ")
    if not syntax.IS_TOKEN.fullmatch(method) or len(method) > 32:
        return MalformedRequest(400, "this is not HTTP: the method is not a token of at most 32 characters")
    target, space, version = rest.partition(b" ")
    if method == b"PRI" or re.match(rb"HTTP/[02-9]", version):
        return MalformedRequest(505, "the version is not HTTP/1.x")
    if method == b"CONNECT":
        return MalformedRequest(501, "CONNECT is not supported: this is not a forward proxy")
    if target and not re.fullmatch(_TARGET, target):
        return MalformedRequest(400, "the target has a character that must be percent-encoded, or a fragment")
    if not space and target[:1] == b"/":
        return MalformedRequest(426, "the request line has no version (HTTP/0.9)")
    return MalformedRequest(400, "the request line is not method, target and version, with one space between")


def _explain_codings(codings: list[bytes]) -> MalformedRequest:
    """RFC 9112 §6.1: 501 for codings before the last, which must be chunked, or nobody knows where the body ends."""
    members = syntax.tokens(b",".join(codings))
    is_clear = members[-1:] == [b"chunked"] and members.count(b"chunked") == 1 and len(members) > 1
    return MalformedRequest(501 if is_clear else 400, "the Transfer-Encoding is not just chunked")


def explain_fields(fields: bytes) -> str:
    """Which rule the field lines of a head break."""
    if syntax.BARE_LF.search(fields) or syntax.BARE_CR.search(fields):
        return "a line ends in a bare LF or CR"
    for line in fields.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if line[:1] in (b" ", b"\t"):
            return "a field is folded over two lines"
        if line and (not colon or not syntax.IS_TOKEN.fullmatch(name)):
            return "a field's name is not a token followed by a colon"
        if line and not re.fullmatch(rb"[\t\x20-\x7e\x80-\xff]*", value):
            return "a field's value has a control character"
    return "the head is malformed"


def check_beginning(data: bytes) -> None:
    """Raise `MalformedRequest` where no head can come of `data`, which is not a whole one yet.

    What comes after the first `syntax.EARLY` bytes is left to `parse_request`.
    """
    if data and _BEGINNING.match(data, 0, syntax.EARLY) is None:
        raise _explain(data[: syntax.EARLY])
