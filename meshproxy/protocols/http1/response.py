"""A response's head (RFC 9112 §4, §6.3).

As strict as for requests: a response that two readers might frame differently could make one of them
take its body for the next response.
"""

from __future__ import annotations

import re
from typing import Final

from meshproxy.protocols.http1 import syntax
from meshproxy.protocols.http1.errors import MalformedResponse
from meshproxy.protocols.http1.request import CHUNKED, explain_fields

UNTIL_CLOSE: Final = -2
"""A content length that means: the body ends with the connection."""

_STATUS_LINE = rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: " + syntax.VALUE + rb"*+)?"
_HEAD: Final = re.compile(_STATUS_LINE + rb"\r\n" + syntax.FIELDS + rb"\r\n")
_BEGINNING = re.compile(
    syntax.begun(
        b"HTTP/1.",
        rb"(?:\Z|[01](?:\Z| (?:\Z|[1-9](?:\Z|[0-9](?:\Z|[0-9](?: " + syntax.VALUE + rb"*+)?"
        + syntax.begun(b"\r\n", syntax.FIELDS_BEGINNING) + rb")))))",
    )
)  # fmt: skip
"""What `_HEAD` can begin with, and nothing else."""
_SPECIAL_NAMES = (
    b"content-length",
    b"transfer-encoding",
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"upgrade",
)
_SPECIAL: Final = syntax.named(*_SPECIAL_NAMES)
_OTHERS = syntax.unnamed(*_SPECIAL_NAMES)
_USUAL: Final = re.compile(
    rb"HTTP/1\.1 (?!204)([2-9][0-9]{2})(?: " + syntax.VALUE + rb"*+)?\r\n" + _OTHERS
    + rb"(?i:content-length):[ \t]*+([0-9]{1,18}+)\r\n" + _OTHERS
    + rb"((?i:connection):[ \t]*+keep-alive\r\n" + rb")?" + _OTHERS + rb"\r\n"
)  # fmt: skip
"""The heads that most responses have, read in one pass: what it does not match is read as any head is."""
_LENGTH = re.compile(rb"[0-9]{1,18}+")


class ResponseHead:
    """A valid head.

    `raw` is the whole head, its last empty line included. `length` is the body's, `CHUNKED`, `UNTIL_CLOSE`, or 0.
    `keep_alive` says that the connection can be used again. `hop_by_hop` is whether a field must be taken out
    before the head is passed on, `nominated` the fields that Connection names, lower case. `forwarded` is the head
    without such fields where that is known already.
    """

    __slots__ = ("forwarded", "hop_by_hop", "keep_alive", "length", "minor", "nominated", "raw", "status", "upgrade")

    def __init__(self, raw: bytes, minor: int, status: int) -> None:
        self.raw = raw
        self.minor = minor
        self.status = status
        self.length = UNTIL_CLOSE
        self.keep_alive = minor == 1
        self.hop_by_hop = False
        self.forwarded: bytes | None = None
        self.nominated: tuple[bytes, ...] = ()
        self.upgrade: bytes | None = None

    @property
    def is_interim(self) -> bool:
        """Whether another head follows (RFC 9110 §15.2); 101 is the last one."""
        return self.status < 200 and self.status != 101


def _usual_response(raw: bytes, match: re.Match[bytes], to_head: bool) -> ResponseHead:
    status_text, length, keep_alive = match.groups()
    status = int(status_text)
    head = ResponseHead(raw, 1, status)
    if keep_alive is not None:
        start, end = match.span(3)
        head.hop_by_hop = True
        head.forwarded = raw[:start] + raw[end:]
    head.length = 0 if to_head or status == 304 else int(length)
    return head


def parse_response(raw: bytes, to_head: bool) -> ResponseHead:
    """The head that `raw` is; `to_head` says that it answers a HEAD request. Raises `MalformedResponse`."""
    usual = _USUAL.fullmatch(raw)
    if usual is not None:
        return _usual_response(raw, usual, to_head)
    match = _HEAD.fullmatch(raw)
    if match is None:
        raise MalformedResponse(_explain(raw))
    minor, status_text = match.groups()
    status = int(status_text)
    head = ResponseHead(raw, 1 if minor == b"1" else 0, status)
    fields = _SPECIAL.findall(raw)
    if len(fields) == 2 and fields[1][1] == b"keep-alive" and minor == b"1" and fields[1][0].lower() == b"connection":
        head.hop_by_hop = True  # as nginx says it; in HTTP/1.1 it changes nothing
        del fields[1]
    if len(fields) == 1 and len(fields[0][0]) == 14 and fields[0][1].isdigit() and len(fields[0][1]) < 19:
        head.length = int(fields[0][1])  # just a Content-Length, as most responses have it
    elif fields:
        _read_fields(head, fields)
    if to_head or status < 200 or status in (204, 304):
        if (status < 200 or status == 204) and head.length not in (0, UNTIL_CLOSE):
            # RFC 9110 §8.6, RFC 9112 §6.1: it must not, and some would read that body (Envoy refuses it as well)
            raise MalformedResponse(f"a body is announced with status {status}, which has none")
        head.length = 0
    elif head.length == UNTIL_CLOSE:
        head.keep_alive = False
    return head


def _read_fields(head: ResponseHead, fields: list[tuple[bytes, bytes]]) -> None:
    lengths: list[bytes] = []
    codings: list[bytes] = []
    options: list[bytes] = []
    upgrades: list[bytes] = []
    for raw_name, raw_value in fields:
        name, value = raw_name.lower(), raw_value.rstrip(b" \t")
        if name == b"content-length":
            lengths.append(value)
        elif name == b"transfer-encoding":
            codings.append(value)
        else:
            head.hop_by_hop = True
            if name == b"connection":
                options += syntax.tokens(value)
            elif name == b"upgrade":
                upgrades.append(value)
    _read_framing(head, lengths, codings)
    if options:
        _read_connection(head, options)
    if upgrades:
        head.upgrade = b", ".join(upgrades)


def _read_framing(head: ResponseHead, lengths: list[bytes], codings: list[bytes]) -> None:
    if codings:
        if head.minor == 0:
            raise MalformedResponse("Transfer-Encoding in HTTP/1.0")
        if lengths:
            raise MalformedResponse("Content-Length beside Transfer-Encoding")
        if len(codings) > 1 or codings[0].lower() != b"chunked":
            raise MalformedResponse("the Transfer-Encoding is not just chunked")
        head.length = CHUNKED
    elif lengths:
        if len(lengths) > 1:
            raise MalformedResponse("more than one Content-Length")
        if not _LENGTH.fullmatch(lengths[0]):
            raise MalformedResponse("the Content-Length is not a number")
        head.length = int(lengths[0])


def _read_connection(head: ResponseHead, options: list[bytes]) -> None:
    if b"close" in options:
        head.keep_alive = False
    elif b"keep-alive" in options:
        head.keep_alive = True
    named = [each for each in options if each not in (b"close", b"keep-alive", b"upgrade")]
    if named:
        if b"content-length" in named or b"transfer-encoding" in named:
            raise MalformedResponse("Connection names a field that frames the body")
        head.nominated = tuple(each for each in named if syntax.IS_TOKEN.fullmatch(each))


def _explain(raw: bytes) -> str:
    line, end, fields = raw.partition(b"\r\n")
    if not end or re.fullmatch(_STATUS_LINE, line) is None:
        return "it does not begin with an HTTP/1.x status line"
    return explain_fields(fields)


def check_beginning(data: bytes) -> None:
    """Raise `MalformedResponse` where no head can come of `data`, which is not a whole one yet.

    What comes after the first `syntax.EARLY` bytes is left to `parse_response`.
    """
    if data and _BEGINNING.match(data, 0, syntax.EARLY) is None:
        raise MalformedResponse(_explain(data[: syntax.EARLY]))
