"""Plain values that know their lines."""

from __future__ import annotations

from typing import Any


class Map(dict[str, Any]):
    """A mapping: `line` is its first, `lines` says where each key's value stands (a container's: its key)."""

    __slots__ = ("line", "lines")

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}


class Seq(list[Any]):
    """A sequence: `line` is its first, `lines` that of each item."""

    __slots__ = ("line", "lines")

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: list[int] = []
