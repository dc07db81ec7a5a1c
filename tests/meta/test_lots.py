"""Tests that use what there is only once are of one lot."""

from __future__ import annotations

import re

from tests.meta.project import ROOT, relative
from tests.support.lots import ADDRESSES, LOTS, NETWORK, lot_of


def _lots_with(pattern: str) -> set[str]:
    """Those of the files in which there is `pattern`."""
    files = (path for path in ROOT.glob("tests/*/**/test_*.py") if path.stem != "test_lots")
    return {lot_of(relative(path)) for path in files if re.search(pattern, path.read_text(), re.MULTILINE)}


def test_whoever_starts_containers_or_a_browser() -> None:
    assert _lots_with(r"^from tests\.integration\.(browser|compose|shop) import") == {NETWORK}


def test_whoever_uses_addresses_that_are_written_down() -> None:
    """The example with containers has one that no other has."""
    assert _lots_with(r"\b(prepare_example|can_bind)\(|[\"']demo[\"']") == {ADDRESSES, NETWORK}


def test_all_of_them_are_there() -> None:
    assert {file for file in LOTS if not (ROOT / file).exists()} == set()
