"""Fields that are set, that Kubernetes knows, and that nothing here acts on: said, never silently passed over."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple, get_args, get_type_hints

import msgspec

from meshproxy.base.errors import Finding, Severity
from meshproxy.resources.meta import Shape


class _Watched(NamedTuple):
    name: str
    encoded: str
    unsupported: bool


def unsupported_fields(shape: Shape, path: str = "") -> Iterator[Finding]:
    """Yield a warning for each field of `shape`, and of what it holds, that is in its `Shape.unsupported`."""
    for name, encoded, unsupported in _watched(type(shape)):
        value = getattr(shape, name)
        if unsupported and value:
            message = "this field is known but not supported yet"
            yield Finding(severity=Severity.WARNING, field=path + encoded, message=message)
        elif isinstance(value, Shape):
            yield from unsupported_fields(value, f"{path}{encoded}.")
        elif isinstance(value, tuple):
            for index, each in enumerate(value):
                yield from unsupported_fields(each, f"{path}{encoded}[{index}].")


@cache
def _watched(shape: type[Shape]) -> tuple[_Watched, ...]:
    """The few fields to look at: those that are unsupported themselves, and those that hold such fields."""
    hints = get_type_hints(shape)
    watched = []
    for field in msgspec.structs.fields(shape):
        unsupported = field.name in shape.unsupported
        if unsupported or any(_watched(held) for held in _shapes_in(hints[field.name])):
            watched.append(_Watched(field.name, field.encode_name, unsupported))
    return tuple(watched)


def _shapes_in(annotation: Any) -> Iterator[type[Shape]]:
    if isinstance(annotation, type) and issubclass(annotation, Shape):
        yield annotation
    for argument in get_args(annotation):
        yield from _shapes_in(argument)
