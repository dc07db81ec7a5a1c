"""What is kept of requests until the supervisor is told."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from meshproxy.snapshot.messages import AccessRecord, TraceRecord

MAX_RECORDS = 4096
"""Records kept until they are taken; more are dropped, and counted."""
PART = 16384
"""Bytes after which a part is full: a record may have some kilobytes, and a part is to fit a packet."""
_HEADER = b"\xdd\0\0\0\0"
"""MessagePack's ``array 32``, the number of its elements not yet known."""


class Records:
    """Records, `MAX_RECORDS` at the most, encoded as they come.

    As objects, those of a busy tenth of a second would take some megabytes, and the place of all else in the CPU's
    caches; encoded they are a fifth of that, and written in a row.
    """

    __slots__ = ("_count", "_dropped", "_encoder", "_end", "_part", "_part_count", "_parts")

    def __init__(self) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._parts: list[msgspec.Raw] = []
        self._part = bytearray(_HEADER)
        self._end = len(_HEADER)
        self._part_count = 0
        self._count = 0
        self._dropped = 0

    def put(self, record: AccessRecord | TraceRecord) -> None:
        if self._count >= MAX_RECORDS:
            self._dropped += 1
            return
        self._count += 1
        self._part_count += 1
        self._encoder.encode_into(record, self._part, self._end)
        self._end = len(self._part)
        if self._end >= PART:
            self._end_part()

    def _end_part(self) -> None:
        self._part[1:5] = self._part_count.to_bytes(4, "big")
        self._parts.append(msgspec.Raw(bytes(self._part)))
        self._end = len(_HEADER)
        self._part_count = 0

    def take(self) -> Iterator[tuple[msgspec.Raw, int]]:
        """What was kept since the last call: (encoded records, how many were dropped beside)."""
        if self._part_count:
            self._end_part()
        parts, dropped = self._parts, self._dropped
        self._parts = []
        self._count = self._dropped = 0
        for part in parts:
            yield part, dropped
            dropped = 0
