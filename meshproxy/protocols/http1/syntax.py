"""What heads are made of, as compiled patterns (RFC 9110 §5, RFC 9112 §2 to §5).

Quantifiers are possessive: a head is read once from left to right, whatever is in it.
"""

from __future__ import annotations

import re

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
"""One character of a token (RFC 9110 §5.6.2)."""
VALUE = rb"[\t\x20-\x7e\x80-\xff]"
"""One character of a field's value or a reason (RFC 9110 §5.5)."""
FIELDS = rb"(?:" + TOKEN + rb"++:" + VALUE + rb"*+\r\n)*+"
"""Field lines. Nothing before the colon but the name; no CR, LF, NUL or other control character in a value; no
line that begins with white space (RFC 9112 §5.1, §5.2: obs-fold)."""

FIELDS_BEGINNING = FIELDS + rb"(?:" + TOKEN + rb"++(?::" + VALUE + rb"*+\r?)?|\r)?\Z"
"""Field lines and the beginning of one more, or of the empty line, where the data ends."""
EARLY = 8192
"""Bytes of a head that are checked before it is whole: enough to turn away what is not HTTP, and so little that one
that arrives a byte at a time costs no more than other packets do."""

IS_TOKEN = re.compile(TOKEN + rb"+")
FIELD = re.compile(rb"\r\n(" + TOKEN + rb"++):[ \t]*+([^\r]*+)")
"""One field line of a valid head, with the line break before it; the value may end in white space."""
BARE_LF = re.compile(rb"(?<!\r)\n")
BARE_CR = re.compile(rb"\r(?!\n|\Z)")


def named(*names: bytes) -> re.Pattern[bytes]:
    """A pattern that finds the field lines of a valid head with one of `names` (lower case), in any case.

    Groups: name, value. The lookahead spares most lines the whole alternation.
    """
    return re.compile(rb"\r\n" + _lookahead(names) + rb"((?i:" + b"|".join(names) + rb")):[ \t]*+([^\r]*+)")


def unnamed(*names: bytes) -> bytes:
    """The source of a pattern for field lines, as `FIELDS`, none of which is called one of `names` (lower case)."""
    return (
        rb"(?:(?!" + _lookahead(names) + rb"(?i:" + b"|".join(names) + rb"):)" + TOKEN + rb"++:" + VALUE + rb"*+\r\n)*+"
    )


def _lookahead(names: tuple[bytes, ...]) -> bytes:
    """The first letters of `names`, in either case."""
    first = b"".join(sorted({letter for name in names for letter in (name[:1], name[:1].upper())}))
    return rb"(?=[" + first + rb"])"


def begun(literal: bytes, rest: bytes) -> bytes:
    """A pattern for `literal` and then the pattern `rest`, or for as much of `literal` as there is data."""
    for at in reversed(range(len(literal))):
        rest = rb"(?:\Z|" + re.escape(literal[at : at + 1]) + rest + rb")"
    return rest


def joined(head: bytes, name: bytes) -> bytes | None:
    """All values of the field `name` (lower case) in a valid head, by RFC 9110 §5.3; None without one.

    Cookies are joined as RFC 9113 §8.2.3 joins them.
    """
    values = [value.rstrip(b" \t") for key, value in FIELD.findall(head) if key.lower() == name]
    if not values:
        return None
    return (b"; " if name == b"cookie" else b", ").join(values)


def tokens(value: bytes) -> list[bytes]:
    """The members of a comma-separated list, lower case, empty ones left out (RFC 9110 §5.6.1)."""
    return [member for each in value.lower().split(b",") if (member := each.strip(b" \t"))]
