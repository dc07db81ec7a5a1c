"""docs/reference.md, made of the structs themselves; ``make reference`` writes it.

No command of its own: it is for those who change `meshproxy.resources`.
"""

from __future__ import annotations

import enum
import inspect
import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Literal, NamedTuple, Union

import click
import msgspec

from meshproxy.base.durations import Duration, Quantity
from meshproxy.resources import KINDS
from meshproxy.resources.meta import Resource, Shape

INTRODUCTION = """\
# Reference

Every kind and every field, made of the program's own definitions by `make reference`. What they are good for, with
examples, is in [configuration](configuration.md) and the documents that it names. `meshproxy schema` prints the same
for editors and other programs.

A **duration** is written `500ms`, `10s`, `1m30s` or `1h`, a **quantity** `500`, `10k` or `64Ki`. Where the default is
*none* a field may be left out. Fields of Kubernetes' without an effect here are an API server's bookkeeping, or, with a
warning, what is not supported.
"""

GUIDES = {
    "Service": "configuration.md#service",
    "Endpoints": "configuration.md#endpointslice-and-endpoints",
    "EndpointSlice": "configuration.md#endpointslice-and-endpoints",
    "Secret": "tls.md#secrets-configmaps-and-files",
    "ConfigMap": "tls.md#secrets-configmaps-and-files",
    "HTTPRoute": "http-routing.md",
    "Gateway": "http-routing.md#gateway",
    "GatewayClass": "http-routing.md#gateway",
    "TLSRoute": "tls.md#tlsroute",
    "BackendTLSPolicy": "tls.md#to-other-servers",
    "ReferenceGrant": "http-routing.md#referencegrant",
    "Ingress": "http-routing.md#ingress",
    "IngressClass": "http-routing.md#ingress",
    "Workload": "configuration.md#workload",
    "TrafficPolicy": "configuration.md#trafficpolicy",
    "AuthorizationPolicy": "authorization.md",
    "Proxy": "configuration.md#proxy",
}
"""Where a kind is explained."""

_SCALARS = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`", Any: "anything"}
_CODE = re.compile(r"(`+)([^`]+)\1")


def make_reference() -> str:
    """The whole document."""
    kinds: dict[str, tuple[list[str], type[Resource]]] = {}
    for (api_version, name), shape in KINDS.items():
        kinds.setdefault(name, ([], shape))[0].append(api_version)
    contents = "\n".join(f"* [{name}](#{name.lower()})" for name in kinds)
    seen: set[type[Shape]] = set()
    sections = [INTRODUCTION, contents + "\n"]
    for name, (api_versions, shape) in kinds.items():
        for found in _reachable(shape, ()):
            if found.shape in seen:
                continue
            seen.add(found.shape)
            head = _kind_head(name, api_versions) if found.shape is shape else _shape_head(name, found)
            sections.append(head + _body(found.shape))
    return "\n".join(sections)


class _Found(NamedTuple):
    shape: type[Shape]
    path: tuple[str, ...]


def _reachable(shape: type[Shape], path: tuple[str, ...]) -> Iterator[_Found]:
    """`shape` and all that its fields lead to, each with the path to it. No struct holds itself."""
    yield _Found(shape, path)
    for field in msgspec.structs.fields(shape):
        if field.name in shape.inert:
            continue
        for inner in _types_in(field.type):
            if isinstance(inner, type) and issubclass(inner, Shape):
                suffix = "[]" if typing.get_origin(field.type) is tuple else ""
                yield from _reachable(inner, (*path, field.encode_name + suffix))


def _types_in(annotation: Any) -> Iterator[Any]:
    yield annotation
    for argument in typing.get_args(annotation):
        yield from _types_in(argument)


def _kind_head(name: str, api_versions: list[str]) -> str:
    versions = ", ".join(f"`{each}`" for each in api_versions)
    return f"## {name}\n\n`apiVersion` {versions}; explained in [{GUIDES[name].partition('#')[0]}]({GUIDES[name]}).\n"


def _shape_head(kind: str, found: _Found) -> str:
    return f"### {found.shape.__name__}\n\n`{kind}`: `{'.'.join(found.path)}`\n"


def _body(shape: type[Shape]) -> str:
    words = _words_of(shape)
    lines = [f"\n{words}\n"] if words else []
    fields = msgspec.structs.fields(shape)
    if not fields:
        return "".join(lines)
    lines.append("\n| field | type | default |\n|---|---|---|\n")
    lines += [
        f"| `{each.encode_name}` | {_type_words(each.type)} | {_default_words(shape, each)} |\n" for each in fields
    ]
    notes: dict[str, list[str]] = {}
    for field in fields:
        for each in _enums_in(field.type):
            notes.setdefault(" ".join(_words_of(each).split()), []).append(f"`{field.encode_name}`")
    notes.pop("", None)
    if notes:
        lines.append("\n" + "".join(f"* {', '.join(names)}: {text}\n" for text, names in notes.items()))
    return "".join(lines)


def _type_words(kind: Any) -> str:
    if kind in _SCALARS:
        return _SCALARS[kind]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(_type_words(each) for each in arguments if each is not type(None))
    if origin is Literal:
        return _choices(list(typing.get_args(kind)))
    if origin is tuple:
        return f"list of: {_type_words(arguments[0])}"
    if origin is dict:
        return f"map of names to: {_type_words(arguments[1])}"
    if issubclass(kind, Duration | Quantity):
        return str(kind.__name__).lower()
    if issubclass(kind, enum.Enum):
        return _choices([each.value for each in kind])
    return f"[{kind.__name__}](#{kind.__name__.lower()})"


def _choices(values: list[Any]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _default_words(shape: type[Shape], field: msgspec.structs.FieldInfo) -> str:
    if field.name in shape.inert:
        return "no effect"
    if field.name in shape.unsupported:
        return "no effect, with a warning"
    if field.required:
        return "**required**"
    default = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    if isinstance(default, Shape):
        return "its fields' own"
    if default is None or default in ((), {}):
        return "none"
    if isinstance(default, tuple):
        return f"`[{', '.join('{}' if isinstance(each, Shape) else str(each) for each in default)}]`"
    if isinstance(default, bool):
        return "`true`" if default else "`false`"
    return f"`{default}`" if str(default) else '`""`'


def _enums_in(kind: Any) -> list[type[enum.Enum]]:
    return [each for each in _types_in(kind) if isinstance(each, type) and issubclass(each, enum.Enum)]


def _words_of(described: type) -> str:
    """The docstring in YAML's words: fields and values as they are written there."""
    own = described.__dict__.get("__doc__")
    if not own or own in {base.__doc__ for base in described.__mro__[1:]}:
        return ""
    module = vars(sys.modules[described.__module__])
    return _CODE.sub(lambda match: _as_written(match[2], described, module), inspect.cleandoc(own))


def _as_written(name: str, described: type, module: Mapping[str, Any]) -> str:
    value = module.get(name)
    if isinstance(value, dict):
        return _choices(list(value))
    if name.isupper() and isinstance(value, str):
        return f"`{value}`"
    if name.isupper():
        return f"`{_member_value(name, described, module)}`"
    return f"`{'.'.join(_field_names().get(part, part) for part in name.split('.'))}`"


def _member_value(name: str, described: type, module: Mapping[str, Any]) -> str:
    """An enum's member as YAML has it: of `described`, or of the module's first enum with such a one."""
    enums = [each for each in (described, *module.values()) if isinstance(each, type) and issubclass(each, enum.Enum)]
    return next((str(each[name].value) for each in enums if name in each.__members__), name)


@cache
def _field_names() -> dict[str, str]:
    """Python's names of fields → YAML's."""
    shapes = {found.shape for kind in KINDS.values() for found in _reachable(kind, ())}
    return {
        name: encoded
        for shape in shapes
        for name, encoded in zip(shape.__struct_fields__, shape.__struct_encode_fields__, strict=True)
    }


if __name__ == "__main__":
    click.echo(make_reference(), nl=False)
