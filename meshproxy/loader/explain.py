"""Everything that keeps a document from being a resource, not just the first thing.

`msgspec` is fast and stops at the first error; this walk is slow and runs only when there is one.
"""

from __future__ import annotations

import enum
import re
import types
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec

from meshproxy.base.durations import Duration, Quantity
from meshproxy.loader.nodes import Map, Seq
from meshproxy.loader.suggestions import did_you_mean
from meshproxy.resources.meta import Shape
from meshproxy.resources.service import Protocol


class Mismatch(NamedTuple):
    """`path` is inside the document, such as ``spec.ports[0].port``; `line` 0 means the container's.

    An empty message stands for a null that is as good as nothing: Kubernetes reads ``labels:``
    and ``creationTimestamp: null`` as if they were not there.
    """

    path: str
    line: int
    message: str


class _Field(NamedTuple):
    type: Any
    required: bool


_UNIONS = (Union, types.UnionType)
_REFUSED_BY_NAME: dict[tuple[type, str], str] = {(Protocol, "SCTP"): "SCTP is not carried; TCP and UDP are"}
_INDEXES = re.compile(r"(\[\d+\])+$")
_NAMES = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}


def explain(value: Any, expected: Any, path: str = "", line: int = 0) -> Iterator[Mismatch]:
    """Yield what is wrong with `value` where a value of type `expected` should be."""
    origin = get_origin(expected)
    if expected is Any:
        return
    if origin in _UNIONS:
        yield from _explain_union(value, get_args(expected), path, line)
    elif origin is Literal:
        if value not in get_args(expected):
            yield Mismatch(path, line, _one_of(value, get_args(expected)))
    elif origin is tuple:
        yield from _explain_sequence(value, get_args(expected)[0], path, line)
    elif origin is dict:
        yield from _explain_mapping(value, get_args(expected)[1], path, line)
    elif isinstance(expected, type) and issubclass(expected, Shape):
        yield from _explain_shape(value, expected, path, line)
    elif isinstance(expected, type):
        yield from _explain_scalar(value, expected, path, line)


def _explain_shape(value: Any, shape: type[Shape], path: str, line: int) -> Iterator[Mismatch]:
    if not isinstance(value, Map):
        yield Mismatch(path, line, f"expected a mapping with fields, found {describe(value)}")
        return
    fields = _fields(shape)
    for key in value:
        if key not in fields:
            hint = did_you_mean(key, fields) or _deeper(key, shape)
            yield Mismatch(_join(path, key), value.lines[key], f"unknown field{hint}")
    for name, field in fields.items():
        if value.get(name) is not None:
            yield from explain(value[name], field.type, _join(path, name), value.lines[name])
        elif field.required:
            yield Mismatch(_join(path, name), value.lines.get(name, value.line), "this field is required")
        elif name in value:
            yield Mismatch(_join(path, name), value.lines[name], "")


@cache
def _fields(shape: type[Shape]) -> dict[str, _Field]:
    """The fields of `shape` by the names that people write."""
    hints = get_type_hints(shape)
    return {field.encode_name: _Field(hints[field.name], field.required) for field in msgspec.structs.fields(shape)}


def _deeper(wrong: str, shape: type[Shape]) -> str:
    """A hint at the one field of that name further down: ``tracing`` is ``telemetry.tracing``."""
    found = [path for path in _paths(shape) if path.rpartition(".")[2] == wrong]
    return f" (did you mean {found[0]}?)" if len(found) == 1 else ""


@cache
def _paths(shape: type[Shape], around: tuple[type[Shape], ...] = ()) -> tuple[str, ...]:
    """Of all fields of the shapes that fields of `shape` hold, dotted; lists are left out, and what is `around`."""
    paths: list[str] = []
    around = (*around, shape)
    for name, field in _fields(shape).items():
        for option in _options(field.type):
            if isinstance(option, type) and issubclass(option, Shape) and option not in around:
                paths.extend(f"{name}.{each}" for each in (*_fields(option), *_paths(option, around)))
    return tuple(paths)


def _options(expected: Any) -> tuple[Any, ...]:
    return get_args(expected) if get_origin(expected) in _UNIONS else (expected,)


def _explain_sequence(value: Any, item: Any, path: str, line: int) -> Iterator[Mismatch]:
    if not isinstance(value, Seq):
        yield Mismatch(path, line, f"expected a list, found {describe(value)}")
        return
    for index, each in enumerate(value):
        yield from explain(each, item, f"{path}[{index}]", value.lines[index])


def _explain_mapping(value: Any, item: Any, path: str, line: int) -> Iterator[Mismatch]:
    if not isinstance(value, Map):
        yield Mismatch(path, line, f"expected a mapping, found {describe(value)}")
        return
    for key, each in value.items():
        yield from explain(each, item, _join(path, key), value.lines[key])


def _explain_union(value: Any, options: tuple[Any, ...], path: str, line: int) -> Iterator[Mismatch]:
    real = [option for option in options if option is not types.NoneType]
    if value is None and len(real) < len(options):
        return
    attempts = [list(explain(value, option, path, line)) for option in real]
    if not all(attempts):
        return
    if len(real) == 1:
        yield from attempts[0]
    else:
        names = " or ".join(_type_name(option) for option in real)
        yield Mismatch(path, line, f"expected {names}, found {describe(value)}")


def _explain_scalar(value: Any, expected: type, path: str, line: int) -> Iterator[Mismatch]:
    if issubclass(expected, enum.Enum):
        try:
            expected(value)
        except ValueError:
            refusal = _REFUSED_BY_NAME.get((expected, value)) if isinstance(value, str) else None
            yield Mismatch(path, line, refusal or _one_of(value, [member.value for member in expected]))
    elif issubclass(expected, Duration | Quantity):
        try:
            decode_special(expected, value)
        except ValueError as error:
            yield Mismatch(path, line, str(error))
    elif not _is_a(value, expected):
        hint = _HINTS.get(type(value), "") if expected is str else ""
        yield Mismatch(path, line, f"expected {_type_name(expected)}, found {describe(value)}{hint}")


_HINTS = {
    **dict.fromkeys((bool, int, float), "; put it in quotes"),
    types.NoneType: '; write "" if you mean an empty string',
}


def _is_a(value: Any, expected: type) -> bool:
    if isinstance(value, bool):
        return expected is bool
    return isinstance(value, expected) or (expected is float and isinstance(value, int))


def _type_name(expected: Any) -> str:
    if get_origin(expected) is Literal:
        return " or ".join(map(repr, get_args(expected)))
    if get_origin(expected) is tuple:
        return "a list"
    return _NAMES.get(expected, "a mapping with fields")


def _one_of(value: Any, options: Any) -> str:
    names = [str(option) for option in options]
    return f"{describe(value)} is none of {', '.join(names)}{did_you_mean(str(value), names)}"


def without(value: Any, mismatches: Iterable[Mismatch]) -> Any:
    """`value` without the fields that do not fit.

    Where an item of a list is wrong the whole list goes, since leaving one out would move the others.
    """
    return _without(value, {_INDEXES.sub("", mismatch.path) for mismatch in mismatches}, "")


def _without(value: Any, paths: Collection[str], path: str) -> Any:
    if isinstance(value, Mapping):
        kept = {key: each for key, each in value.items() if _join(path, key) not in paths}
        return {key: _without(each, paths, _join(path, key)) for key, each in kept.items()}
    if isinstance(value, list):
        return [_without(each, paths, f"{path}[{index}]") for index, each in enumerate(value)]
    return value


def describe(value: Any) -> str:
    """What was found, in words."""
    match value:
        case None:
            return "nothing (null)"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the string {value[:60]!r}" + ("…" if len(value) > 60 else "")
        case Mapping():
            return "a mapping"
        case _:
            return "a list"


def decode_special(expected: type, value: Any) -> Any:
    """`msgspec`'s hook for `Duration` and `Quantity`; raises `ValueError` with a sentence."""
    if issubclass(expected, Duration):
        if isinstance(value, str):
            return Duration.parse(value)
        if value == 0 and not isinstance(value, bool) and value is not None:
            return Duration(0)
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise ValueError(f"{value} has no unit; write {value}s if you mean seconds, or {value}ms")
        raise ValueError(f"expected a duration such as 500ms, 10s or 1h, found {describe(value)}")
    if issubclass(expected, Quantity):
        if isinstance(value, str):
            return Quantity.parse(value)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return Quantity(value)
        raise ValueError(f"expected a quantity such as 500, 10k or 64Ki, found {describe(value)}")
    raise NotImplementedError(expected)


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
