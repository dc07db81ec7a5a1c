"""A sample of finished requests for people who look, whatever the access log has."""

from __future__ import annotations

from meshproxy.snapshot.messages import AccessRecord

GOOD = 2
BAD = 5
"""Requests kept between two reports (a tenth of a second): those that went well, and those that did not."""


class RecentSample:
    """Keeps the first few requests after each report: busy or idle, a request beyond them costs a comparison."""

    __slots__ = ("_bad_left", "_good_left", "_records")

    def __init__(self) -> None:
        self._good_left = GOOD
        self._bad_left = BAD
        self._records: list[AccessRecord] = []

    def wants(self, status: int, flags: str) -> bool:
        """Whether a request that ended so is to be kept; `status` 0 is no response."""
        if flags or status >= 400 or not status:
            if not self._bad_left:
                return False
            self._bad_left -= 1
            return True
        if not self._good_left:
            return False
        self._good_left -= 1
        return True

    def keep(self, record: AccessRecord) -> None:
        self._records.append(record)

    def take(self) -> tuple[AccessRecord, ...]:
        """What was kept since the last call."""
        self._good_left, self._bad_left = GOOD, BAD
        if not self._records:
            return ()
        records = tuple(self._records)
        self._records.clear()
        return records
