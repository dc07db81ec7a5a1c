"""What keys mean on the screen of `meshproxy top`."""

from __future__ import annotations

import re
from typing import NamedTuple

from meshproxy.cli.top_rows import Order
from meshproxy.cli.top_views import Name

PAGE = 10
"""Lines that a page key moves."""
_EVERYWHERE = """\
1 overview  2 services  3 routes  4 requests  5 config  6 certificates  7 sources
/ filter  j k space scroll  q quit"""
HELP = {
    False: _EVERYWHERE,
    True: f"{_EVERYWHERE}  c callers  d endpoints\nsort  n name  e ready  r req/s  s success  p p99  o open  b bytes",
}
"""What keys there are, with those of the Services or without."""
_ORDERS = {
    "n": Order.NAME,
    "e": Order.READY,
    "r": Order.RATE,
    "s": Order.SUCCESS,
    "p": Order.P99,
    "o": Order.OPEN,
    "b": Order.BYTES,
}
_MOVES = {
    **dict.fromkeys(("j", "\x1b[B", "\x1bOB"), 1),
    **dict.fromkeys(("k", "\x1b[A", "\x1bOA"), -1),
    **dict.fromkeys((" ", "\x1b[6~"), PAGE),
    "\x1b[5~": -PAGE,
}
_KEY = re.compile(r"\x1b(?:\[[0-9;]*[A-Za-z~]|O[A-Z])|.", re.DOTALL)
_ENTER, _ESCAPE, _ERASE = ("\r", "\n"), "\x1b", ("\x7f", "\x08")


class Wishes(NamedTuple):
    """What a user asked for. `first` is the number of the topmost line; `typing` says that keys are the filter's."""

    view: Name
    order: Order
    endpoints: bool
    first: int = 0
    filter: str = ""
    typing: bool = False
    callers: bool = False

    @property
    def prompt(self) -> str:
        """The filter, where there is one."""
        return f"/{self.filter}{'_' if self.typing else ''}" if self.filter or self.typing else ""

    def within(self, last: int) -> Wishes:
        """Not further down than that line `last` is the topmost."""
        return self._replace(first=max(0, min(self.first, last)))


def typed(wishes: Wishes, keys: str) -> Wishes | None:
    """What is wanted after `keys`; None is to leave."""
    for key in _KEY.findall(keys):
        if wishes.typing:
            wishes = _typed_filter(wishes, key)
        elif key == "q":
            return None
        else:
            wishes = _pressed(wishes, key)
    return wishes


def _typed_filter(wishes: Wishes, key: str) -> Wishes:
    if key in _ENTER:
        return wishes._replace(typing=False)
    if key == _ESCAPE:
        return wishes._replace(typing=False, filter="", first=0)
    if key in _ERASE:
        return wishes._replace(filter=wishes.filter[:-1], first=0)
    return wishes._replace(filter=wishes.filter + key, first=0) if key.isprintable() else wishes


def _pressed(wishes: Wishes, key: str) -> Wishes:
    names = tuple(Name)
    if key.isdecimal() and 1 <= int(key) <= len(names):
        return wishes._replace(view=names[int(key) - 1], first=0)
    if key in _MOVES:
        return wishes._replace(first=max(0, wishes.first + _MOVES[key]))
    if key == "/":
        return wishes._replace(typing=True)
    if key == _ESCAPE:
        return wishes._replace(filter="", first=0)
    if key == "c":
        return wishes._replace(callers=not wishes.callers)
    if key == "d":
        return wishes._replace(endpoints=not wishes.endpoints)
    return wishes._replace(order=_ORDERS.get(key, wishes.order))
