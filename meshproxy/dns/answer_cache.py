"""Answers by the bytes of their question, for the fast path: the id apart, equal bytes deserve equal answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle

from meshproxy.dns.tally import Tally

MAX_ANSWERS = 4096
"""Entries of one transport; the oldest go first. With the largest questions and answers, 16 MiB."""
MAX_QUESTION = 512
"""Bytes of a question that is kept."""


class CachedAnswer:
    """The bytes after the id. Several take turns (`next_reply`), so that clients spread over addresses.

    `until` is the clock's time. `tally` counts the queries of its kind.
    """

    __slots__ = ("next_reply", "tally", "until")

    def __init__(self, replies: Sequence[bytes], until: float, tally: Tally) -> None:
        self.next_reply: Callable[[], bytes] = cycle(replies).__next__
        self.until = until
        self.tally = tally


class AnswerCache:
    """Owns the cached answers of one transport, by the question's bytes after the id."""

    def __init__(self) -> None:
        self.answers: dict[bytes, CachedAnswer] = {}

    def put(self, question: bytes, answer: CachedAnswer) -> None:
        if len(question) > MAX_QUESTION:
            return
        self.answers.pop(question, None)
        if len(self.answers) >= MAX_ANSWERS:
            del self.answers[next(iter(self.answers))]
        self.answers[question] = answer

    def clear(self) -> None:
        self.answers.clear()
