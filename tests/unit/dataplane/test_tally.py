"""What a tally reports, and what it forgets."""

from __future__ import annotations

from meshproxy.dataplane.tally import Tally


def make_tally(*keys: str) -> Tally[str]:
    tally: Tally[str] = Tally()
    for key in keys:
        tally.count(key)
    return tally


def test_what_changed_is_reported_once_with_its_whole_total() -> None:
    tally = make_tally("a", "b", "a")
    assert tally.take_changed() == {"a": 2, "b": 1}
    assert tally.take_changed() == {}
    tally.count("a")
    assert tally.take_changed() == {"a": 3}
    assert tally.totals == {"a": 3, "b": 1}


def test_what_is_forgotten_is_not_reported_and_begins_anew() -> None:
    tally = make_tally("a", "b")
    tally.keep_only(lambda key: key == "b")
    assert tally.take_changed() == {"b": 1}
    tally.count("a")
    assert tally.take_changed() == {"a": 1}
