"""Who runs which tests: a process gets a lot, and the next one when that is nearly done."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

from tests.support.lots import lot_of


class LotsInTurn(LoadScopeScheduling):  # type: ignore[misc]
    def _split_scope(self, nodeid: str) -> str:
        return lot_of(nodeid)
