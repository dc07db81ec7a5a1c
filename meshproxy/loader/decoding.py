"""Bytes of a file → text that a YAML parser may be given."""

from __future__ import annotations

import re

MAX_BYTES = 32 * 1024 * 1024

_NOT_ALLOWED = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""The complement of YAML's `c-printable` (YAML 1.2.2 §5.1)."""
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
"""What libyaml counts as the end of a line."""
_JSON_ESCAPE = re.compile(r"\\(?:u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})|.)", re.IGNORECASE)


class Unreadable(Exception):
    """Nothing can be read from here on; says on which line, and why."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


def decode(data: bytes) -> str:
    """UTF-8, with or without a byte order mark, to text; raises `Unreadable`."""
    if len(data) > MAX_BYTES:
        raise Unreadable(1, f"the file is larger than the {MAX_BYTES // 2**20} MiB that are read")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = _line_at(data[: error.start].decode("utf-8", "replace"))
        raise Unreadable(line, f"byte {error.start} is not UTF-8; save the file as UTF-8") from None
    strange = _NOT_ALLOWED.search(text)
    if strange is not None:
        message = f"the character U+{ord(strange[0]):04X} is not allowed in YAML; is this a text file?"
        raise Unreadable(_line_at(text[: strange.start()]), message)
    return _join_surrogates(text) if text.lstrip()[:1] in ("{", "[") else text


def _line_at(text_before: str) -> int:
    return len(_LINE_BREAK.findall(text_before)) + 1


def _join_surrogates(json: str) -> str:
    r"""JSON writes 😀 as ``\ud83d\ude00`` (RFC 8259 §7), the one of its escapes that YAML lacks."""
    return _JSON_ESCAPE.sub(_joined, json)


def _joined(escape: re.Match[str]) -> str:
    if escape[1] is None:
        return escape[0]
    return chr(0x10000 + ((int(escape[1], 16) & 0x3FF) << 10) + (int(escape[2], 16) & 0x3FF))
