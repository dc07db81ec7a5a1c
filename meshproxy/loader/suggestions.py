"""“Did you mean …?”"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(wrong: str, right: Iterable[str]) -> str:
    """`` (did you mean X?)`` for the likeliest of `right`, or nothing."""
    by_folded = {candidate.casefold(): candidate for candidate in right}
    close = get_close_matches(wrong.casefold(), by_folded, n=1, cutoff=0.6)
    return f" (did you mean {by_folded[close[0]]}?)" if close else ""
