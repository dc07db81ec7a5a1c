"""The documents name every field that there is, and their examples are valid."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator

import pytest

from meshproxy.loader.load import SourceText, load
from meshproxy.resources import KINDS
from meshproxy.resources.meta import Shape
from tests.meta.project import ROOT, markdown_files, relative

_YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
TEXT = "\n".join(
    (ROOT / "docs" / name).read_text()
    for name in (
        "authorization.md",
        "configuration.md",
        "discovery.md",
        "dns.md",
        "http-routing.md",
        "identity.md",
        "telemetry.md",
        "tls.md",
    )
)


def _shapes(shape: type[Shape], seen: set[type[Shape]]) -> Iterator[type[Shape]]:
    """`shape` and every struct that its fields lead to."""
    if shape in seen:
        return
    seen.add(shape)
    yield shape
    for annotation in typing.get_type_hints(shape).values():
        for inner in _types_in(annotation):
            if isinstance(inner, type) and issubclass(inner, Shape):
                yield from _shapes(inner, seen)


def _types_in(annotation: object) -> Iterator[object]:
    yield annotation
    for argument in typing.get_args(annotation):
        yield from _types_in(argument)


def _fields() -> list[str]:
    seen: set[type[Shape]] = set()
    shapes = [shape for kind in KINDS.values() for shape in _shapes(kind, seen)]
    return sorted(
        {
            encoded
            for shape in shapes
            for name, encoded in zip(shape.__struct_fields__, shape.__struct_encode_fields__, strict=True)
            if name not in shape.inert
        }
    )


WORDS = {word for code in re.findall(r"`([^`\n]+)`", TEXT) for word in re.findall(r"\w+", code)}
FRAME = {"apiVersion", "kind", "metadata", "spec"}


@pytest.mark.parametrize("field", [field for field in _fields() if field not in FRAME])
def test_a_field_is_documented(field: str) -> None:
    assert field in WORDS


BLOCKS = [
    pytest.param(block, id=f"{relative(path)}-{number}")
    for path in markdown_files()
    for number, block in enumerate(_YAML.findall(path.read_text()))
    if "apiVersion" in block
]


@pytest.mark.parametrize("block", BLOCKS)
def test_yaml_in_documents_is_valid(block: str) -> None:
    assert load([SourceText("document", block.encode())]).findings == ()
