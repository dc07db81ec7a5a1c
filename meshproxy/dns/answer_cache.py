"""Answers by the bytes of their question, for the fast path: the id apart, equal bytes deserve equal answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle

from meshproxy.dns.tally import Tally

MAX_ANSWERS = 4096
MAX_BYTES = 16 * 1024 * 1024
"""Of one transport, with their questions; the oldest go first."""
MAX_QUESTION = 512
"""Bytes of a question that is kept."""


class CachedAnswer:
    """The bytes after the id. Several take turns (`next_reply`), so that clients spread over addresses.

    `until` is the clock's time. `tally` counts the queries of its kind.
    """

    __slots__ = ("next_reply", "size", "tally", "until")

    def __init__(self, replies: Sequence[bytes], until: float, tally: Tally) -> None:
        self.size = sum(len(reply) for reply in replies)
        self.next_reply: Callable[[], bytes] = cycle(replies).__next__
        self.until = until
        self.tally = tally


class AnswerCache:
    """Owns the cached answers of one transport, by the question's bytes after the id."""

    def __init__(self) -> None:
        self.answers: dict[bytes, CachedAnswer] = {}
        self._bytes = 0

    def put(self, question: bytes, answer: CachedAnswer) -> None:
        if len(question) > MAX_QUESTION:
            return
        self._forget(question)
        self.answers[question] = answer
        self._bytes += len(question) + answer.size
        while len(self.answers) > MAX_ANSWERS or self._bytes > MAX_BYTES:
            self._forget(next(iter(self.answers)))

    def clear(self) -> None:
        self.answers.clear()
        self._bytes = 0

    def _forget(self, question: bytes) -> None:
        answer = self.answers.pop(question, None)
        if answer is not None:
            self._bytes -= len(question) + answer.size
