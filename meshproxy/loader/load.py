"""Texts in, resources and findings out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from meshproxy.base.errors import Finding
from meshproxy.loader.explain import Mismatch, decode_special, explain, without
from meshproxy.loader.kinds import kind_of, label_of
from meshproxy.loader.nodes import Map, Seq
from meshproxy.loader.places import Place
from meshproxy.loader.rules import check
from meshproxy.loader.unsupported import unsupported_fields
from meshproxy.loader.yaml_documents import parse_documents
from meshproxy.resources import Proxy, Workload
from meshproxy.resources.meta import Resource

MAX_MESSAGE = 500
"""Characters of a finding's message, field or resource: ten megabytes of nonsense get a short answer."""


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
        for line, document in parse_documents(text.name, text.data, self._say):
            for item_line, item in _items(line, document):
                self._read_document(Place(text.name, item_line, item), item)
        self.findings[before:] = sorted(self.findings[before:], key=lambda finding: finding.line)

    def _read_document(self, place: Place, document: Any) -> None:
        kind = kind_of(document)
        if isinstance(kind, Finding):
            self._say_of(place, label_of(document), [kind])
            return
        try:
            resource = _convert(document, kind)
        except msgspec.ValidationError as error:
            self._explain(place, document, kind, str(error))
        else:
            self._take(place, resource)

    def _explain(self, place: Place, document: Any, kind: type[Resource], reason: str) -> None:
        """Say why `document` is no `kind`, and what else is wrong with it; `reason` is `msgspec`'s own."""
        mismatches = list(explain(document, kind))
        wrong = [mismatch for mismatch in mismatches if mismatch.message]
        label = label_of(document)
        for path, line, message in wrong:
            self._say(Finding(file=place.file, line=line or place.line, resource=label, field=path, message=message))
        try:
            resource = _convert(without(document, mismatches), kind)
        except msgspec.ValidationError:
            if not wrong:
                self._say_of(place, label, [Finding(message=reason)])
            return
        if wrong:
            self._say_of(place, label, _not_said(check(resource), wrong))
            self._register(place, resource)
        else:
            self._take(place, resource)

    def _take(self, place: Place, resource: Resource) -> None:
        self._say_of(place, resource.label, unsupported_fields(resource))
        self._say_of(place, resource.label, check(resource))
        if self._register(place, resource):
            self.resources.append(resource)

    def _register(self, place: Place, resource: Resource) -> bool:
        """Note where `resource` stands, unless it is one too many."""
        label = resource.label
        first = self.places.get(label)
        if first is not None:
            message = f"there is one of this name already, in {first.file}:{first.line}"
            self._say_of(place, label, [Finding(field="metadata.name", message=message)])
            return False
        # Workloads come in thousands, and what is wrong with one is said here: their fields' lines are let go.
        self.places[label] = place.without_fields() if isinstance(resource, Workload) else place
        if isinstance(resource, Proxy):
            if self._proxy is not None:
                message = f"there can be only one Proxy; another is in {self._proxy.file}:{self._proxy.line}"
                self._say_of(place, label, [Finding(message=message)])
                return False
            self._proxy = place
        return True

    def _say_of(self, place: Place, label: str, findings: Iterable[Finding]) -> None:
        """Take `findings` on the document at `place`."""
        for finding in findings:
            line = place.line_of(finding.field)
            self._say(msgspec.structs.replace(finding, file=place.file, line=line, resource=label))

    def _say(self, finding: Finding) -> None:
        parts = {name: _legible(getattr(finding, name)) for name in ("message", "field", "resource")}
        self.findings.append(msgspec.structs.replace(finding, **parts))


def _convert(document: Any, kind: type[Resource]) -> Resource:
    """A resource from plain values; raises `msgspec.ValidationError` (our hooks' `ValueError` becomes one)."""
    return msgspec.convert(document, kind, dec_hook=decode_special)


def _items(line: int, document: Any) -> Iterator[tuple[int, Any]]:
    """The documents in a `kind: List`, or the one there is (kubectl does so)."""
    if isinstance(document, Map) and document.get("kind") == "List" and "items" in document:
        items = document["items"]
        if isinstance(items, Seq):
            yield from zip(items.lines, items, strict=True)
            return
        if items is None:
            return
    yield line, document


def _not_said(findings: Iterable[Finding], wrong: Iterable[Mismatch]) -> Iterator[Finding]:
    """Those of `findings` that do not follow from what is known to be wrong."""
    said = [mismatch.path for mismatch in wrong]
    if any(path.endswith((".type", ".protocol")) for path in said):
        # Nearly every other rule is about what these say.
        findings = (finding for finding in findings if finding.field.startswith("metadata"))
    for finding in findings:
        if not any(_within(path, finding.field) or _within(finding.field, path) for path in said):
            yield finding


def _within(path: str, ancestor: str) -> bool:
    return path == ancestor or path.startswith((f"{ancestor}.", f"{ancestor}["))


def _legible(text: str) -> str:
    """`text` as one line of at most `MAX_MESSAGE` characters: it may quote what a file holds."""
    if len(text) > MAX_MESSAGE:
        text = text[: MAX_MESSAGE - 1] + "…"
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
