"""Texts in, resources and findings out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from meshproxy.base.errors import ConfigError, Finding, Severity
from meshproxy.loader.explain import decode_special, explain, without
from meshproxy.loader.kinds import kind_of, label_of
from meshproxy.loader.places import Place
from meshproxy.loader.rules import check
from meshproxy.loader.yaml_documents import Map, Seq, parse_documents
from meshproxy.resources import Proxy, Workload
from meshproxy.resources.meta import Resource, Shape


class SourceText(NamedTuple):
    """A text and the name that findings call it by: a path, a key."""

    name: str
    data: bytes


class Loaded(NamedTuple):
    """`places` is by resource label. Where a finding is an error, `resources` is not the whole truth."""

    resources: tuple[Resource, ...]
    findings: tuple[Finding, ...]
    places: MappingProxyType[str, Place]


def load(texts: Iterable[SourceText]) -> Loaded:
    """Read every document of every text, collecting everything that is wrong, in the order of the texts."""
    loading = _Loading()
    for text in texts:
        loading.read(text)
    return Loaded(tuple(loading.resources), tuple(loading.findings), MappingProxyType(loading.places))


class _Loading:
    def __init__(self) -> None:
        self.resources: list[Resource] = []
        self.findings: list[Finding] = []
        self.places: dict[str, Place] = {}
        self._proxy: Place | None = None

    def read(self, text: SourceText) -> None:
        before = len(self.findings)
        try:
            for line, document in parse_documents(text.name, text.data):
                for item_line, item in _items(line, document):
                    self._read_document(Place(text.name, item_line, item), item)
        except ConfigError as error:
            self.findings += error.findings
        self.findings[before:] = sorted(self.findings[before:], key=lambda finding: finding.line)

    def _read_document(self, place: Place, document: Any) -> None:
        kind = kind_of(document)
        label = label_of(document)
        if isinstance(kind, Finding):
            self._add(place, msgspec.structs.replace(kind, resource=label))
            return
        try:
            resource = msgspec.convert(document, kind, dec_hook=decode_special)
        except (msgspec.ValidationError, ValueError):
            self._explain(place, document, kind, label)
        else:
            self._take(place, resource)

    def _explain(self, place: Place, document: Any, kind: type[Resource], label: str) -> None:
        """Say what is wrong with the shape of `document`, and with the rest of it."""
        mismatches = list(explain(document, kind))
        for mismatch in mismatches:
            line = mismatch.line or place.line
            message = mismatch.message
            self.findings.append(
                Finding(file=place.file, line=line, resource=label, field=mismatch.path, message=message)
            )
        rest = without(document, [mismatch.path for mismatch in mismatches])
        try:
            resource = msgspec.convert(rest, kind, dec_hook=decode_special)
        except (msgspec.ValidationError, ValueError):
            return
        said = {mismatch.path for mismatch in mismatches}
        for finding in check(resource):
            if not any(path.startswith(finding.field) or finding.field.startswith(path) for path in said):
                self._add(place, msgspec.structs.replace(finding, resource=label))

    def _take(self, place: Place, resource: Resource) -> None:
        label = resource.label
        for finding in (*_unsupported(resource), *check(resource)):
            self._add(place, msgspec.structs.replace(finding, resource=label))
        first = self.places.get(label)
        if first is not None:
            message = f"there is one of this name already, in {first.file}:{first.line}"
            self._add(place, Finding(resource=label, field="metadata.name", message=message))
            return
        if isinstance(resource, Proxy):
            if self._proxy is not None:
                message = f"there can be only one Proxy; another is in {self._proxy.file}:{self._proxy.line}"
                self._add(place, Finding(resource=label, message=message))
                return
            self._proxy = place
        # Workloads come in thousands, and what is wrong with one is said here: their fields' lines are let go.
        self.places[label] = place.without_fields() if isinstance(resource, Workload) else place
        self.resources.append(resource)

    def _add(self, place: Place, finding: Finding) -> None:
        if not finding.file:
            finding = msgspec.structs.replace(finding, file=place.file, line=place.line_of(finding.field))
        self.findings.append(finding)


def _items(line: int, document: Any) -> Iterator[tuple[int, Any]]:
    """The documents in a `kind: List`, or the one there is (kubectl does so)."""
    if isinstance(document, Map) and document.get("kind") == "List" and isinstance(document.get("items"), Seq):
        items: Seq = document["items"]
        yield from zip(items.lines, items, strict=True)
    else:
        yield line, document


def _unsupported(shape: Any, path: str = "") -> Iterator[Finding]:
    """A warning for each field that is set, that Kubernetes knows and that nothing here acts on."""
    for name, encoded in zip(shape.__struct_fields__, shape.__struct_encode_fields__, strict=True):
        value = getattr(shape, name)
        if name in shape.unsupported and value:
            message = "this field is known but not supported yet"
            yield Finding(severity=Severity.WARNING, field=path + encoded, message=message)
        elif isinstance(value, Shape):
            yield from _unsupported(value, f"{path}{encoded}.")
