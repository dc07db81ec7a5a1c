"""ASN.1 in DER (X.690), as much of it as certificates need: one element after the other, nothing copied twice.

Any bytes give elements or a `ProtocolError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from meshproxy.base.errors import ProtocolError

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, OBJECT_IDENTIFIER = 0x01, 0x02, 0x03, 0x04, 0x06
UTC_TIME, GENERALIZED_TIME, SEQUENCE = 0x17, 0x18, 0x30
CONTEXT, CONSTRUCTED = 0x80, 0x20

_LONG_FORM = 0x80
_MAX_LENGTH_BYTES = 3
"""16 MiB is more than any certificate."""


class Element(NamedTuple):
    """One tag, length and value; `start` is where the tag stands, `value` … `end` the contents."""

    data: bytes
    tag: int
    start: int
    value: int
    end: int

    @property
    def contents(self) -> bytes:
        return self.data[self.value : self.end]

    @property
    def encoded(self) -> bytes:
        """Tag, length and contents."""
        return self.data[self.start : self.end]

    def children(self) -> Iterator[Element]:
        """The elements that a constructed one holds."""
        position = self.value
        while position < self.end:
            child = element_at(self.data, position, self.end)
            yield child
            position = child.end


def element_at(data: bytes, start: int, limit: int) -> Element:
    """The element that begins at `start` and must end by `limit`."""
    if start + 2 > limit:
        raise ProtocolError("DER ends within an element")
    tag, length, value = data[start], data[start + 1], start + 2
    if tag & 0x1F == 0x1F:
        raise ProtocolError("DER has a tag of several bytes")
    if length >= _LONG_FORM:
        size = length - _LONG_FORM
        if not 1 <= size <= _MAX_LENGTH_BYTES or value + size > limit:
            raise ProtocolError("DER has a length that is indefinite or too long")
        length = int.from_bytes(data[value : value + size])
        value += size
    if value + length > limit:
        raise ProtocolError("DER ends within an element")
    return Element(data, tag, start, value, value + length)


def whole(data: bytes, tag: int) -> Element:
    """The one element that `data` is."""
    element = element_at(data, 0, len(data))
    if element.tag != tag or element.end != len(data):
        raise ProtocolError(f"DER is not one element with the tag {tag:#x}")
    return element


def expect(element: Element | None, tag: int) -> Element:
    """`element`, which must be there and have that tag."""
    if element is None or element.tag != tag:
        raise ProtocolError(f"DER lacks an element with the tag {tag:#x}")
    return element


def object_identifier(element: Element) -> str:
    """``1.3.6.1.5.5.7.3.1`` (X.690 §8.19)."""
    contents = expect(element, OBJECT_IDENTIFIER).contents
    numbers: list[int] = []
    number = 0
    for byte in contents:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    if not numbers or contents[-1] & 0x80 or len(contents) > 64:
        raise ProtocolError("DER has a malformed object identifier")
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))
