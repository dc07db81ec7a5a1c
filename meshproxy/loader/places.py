"""Where a resource stands in its file, so that later findings can say so too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from meshproxy.base.errors import Finding
from meshproxy.loader.nodes import Map, Seq

_INDEX = re.compile(r"\[(\d{1,9})\]\.?", re.ASCII)


class Place:
    """A document in a file. Without `document` only its first line is known."""

    __slots__ = ("_document", "file", "line")

    def __init__(self, file: str, line: int, document: Any = None) -> None:
        self.file = file
        self.line = line
        self._document = document

    def line_of(self, field: str) -> int:
        """The line of ``spec.ports[0].port``, or of the nearest thing around it that is there."""
        line, value, rest = self.line, self._document, field
        while (step := _step(value, rest)) is not None:
            line, value, rest = step
        return line

    def without_fields(self) -> Place:
        """The same place, without holding on to the document."""
        return Place(self.file, self.line)


def _step(value: Any, path: str) -> tuple[int, Any, str] | None:
    """(line, value, the rest of `path`) of what the first step of `path` leads to."""
    if isinstance(value, Map):
        # Labels' keys hold dots, so it is the keys that tell where a step ends: the longest that fits.
        fitting = [key for key in value if path == key or path.startswith((f"{key}.", f"{key}["))]
        if fitting:
            key = max(fitting, key=len)
            return value.lines[key], value[key], path[len(key) :].removeprefix(".")
    elif isinstance(value, Seq):
        index = _INDEX.match(path)
        if index is not None and int(index[1]) < len(value):
            return value.lines[int(index[1])], value[int(index[1])], path[index.end() :]
    return None


def attach(findings: Iterable[Finding], places: Mapping[str, Place]) -> tuple[Finding, ...]:
    """`findings` with file and line where they name a resource (by its label) that has a place."""
    return tuple(_attach(finding, places.get(finding.resource)) for finding in findings)


def _attach(finding: Finding, place: Place | None) -> Finding:
    if place is None or finding.file:
        return finding
    return msgspec.structs.replace(finding, file=place.file, line=place.line_of(finding.field))
