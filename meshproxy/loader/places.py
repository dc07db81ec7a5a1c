"""Where a resource stands in its file, so that later findings can say so too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from meshproxy.base.errors import Finding
from meshproxy.loader.yaml_documents import Map, Seq

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


class Place:
    """A document in a file. Without `document` only its first line is known."""

    __slots__ = ("_document", "file", "line")

    def __init__(self, file: str, line: int, document: Any = None) -> None:
        self.file = file
        self.line = line
        self._document = document

    def line_of(self, field: str) -> int:
        """The line of ``spec.ports[0].port``, or of the nearest thing around it that is there."""
        line, value = self.line, self._document
        for name, index in _STEP.findall(field):
            if isinstance(value, Map) and name in value:
                line, value = value.lines[name], value[name]
            elif isinstance(value, Seq) and index and int(index) < len(value):
                line, value = value.lines[int(index)], value[int(index)]
            else:
                break
        return line

    def without_fields(self) -> Place:
        """The same place, without holding on to the document."""
        return Place(self.file, self.line)


def attach(findings: Iterable[Finding], places: Mapping[str, Place]) -> tuple[Finding, ...]:
    """`findings` with file and line where they name a resource (by its label) that has a place."""
    return tuple(_attach(finding, places.get(finding.resource)) for finding in findings)


def _attach(finding: Finding, place: Place | None) -> Finding:
    if place is None or finding.file:
        return finding
    return msgspec.structs.replace(finding, file=place.file, line=place.line_of(finding.field))
