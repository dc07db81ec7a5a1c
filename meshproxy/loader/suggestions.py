"""“Did you mean …?”"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache

_LONGEST = 64
"""No name here is longer, and comparing takes the square of the length."""


def did_you_mean(wrong: str, right: Iterable[str]) -> str:
    """`` (did you mean X?)`` for the likeliest of `right`, or nothing."""
    return _suggestion(wrong, tuple(right)) if len(wrong) <= _LONGEST else ""


@lru_cache(maxsize=16)  # ten thousand generated documents have the same mistake
def _suggestion(wrong: str, right: tuple[str, ...]) -> str:
    by_folded = {candidate.casefold(): candidate for candidate in right}
    close = get_close_matches(wrong.casefold(), by_folded, n=1, cutoff=0.6)
    return f" (did you mean {by_folded[close[0]]}?)" if close else ""
