"""Small parts of OTLP messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from meshproxy import __version__

Plain = str | int | float | bool | tuple[str, ...]
NANOSECONDS = 1_000_000_000
_DISTRO = {"telemetry.distro.name": "meshproxy", "telemetry.distro.version": __version__}


def attributes(values: Mapping[str, Plain | None]) -> Iterator[KeyValue]:
    """Those that are not None."""
    for key, value in values.items():
        if value is not None:
            yield KeyValue(key=key, value=any_value(value))


def any_value(value: Plain) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(array_value=ArrayValue(values=map(any_value, value)))


def resource(values: Mapping[str, str]) -> Resource:
    """Who sends, and by what."""
    return Resource(attributes=attributes({**_DISTRO, **values}))


def scope() -> InstrumentationScope:
    return InstrumentationScope(name="meshproxy", version=__version__)


def nanoseconds(seconds: float) -> int:
    return int(seconds * NANOSECONDS)


def identifier(digits: bytes) -> bytes:
    """A trace's or a span's id."""
    return bytes.fromhex(digits.decode("ascii"))


def joined(parts: Iterable[str]) -> str:
    """Those that are not empty, as one text."""
    return " ".join(part for part in parts if part)
