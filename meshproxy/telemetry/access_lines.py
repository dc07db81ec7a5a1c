"""From an access record to its line: text by a format string, or JSON.

What a client sent cannot break out of its line: characters that are not printable, quotation marks and backslashes are
escaped, in JSON everything beyond ASCII as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime

from meshproxy.base.command_operators import JSON_FORMAT, ORIGINAL_PATH, Operator, parse_format
from meshproxy.snapshot.messages import AccessRecord
from meshproxy.snapshot.model import AccessLog

MISSING = "-"
Value = str | int | None
Getter = Callable[[AccessRecord], Value]
Formatter = Callable[[AccessRecord], str]


def line_formatter(config: AccessLog) -> Formatter:
    """What makes the line, with its end, of a record."""
    if config.format == "json":
        return _json_formatter()
    return _text_formatter(config.format)


def _json_formatter() -> Formatter:
    members = [(name, _getter(operator)) for name, text in JSON_FORMAT.items() for operator in _operators(text)]
    encode = json.JSONEncoder(separators=(",", ":")).encode

    def line(record: AccessRecord) -> str:
        return encode({name: get(record) for name, get in members}) + "\n"

    return line


def _operators(text: str) -> tuple[Operator, ...]:
    return tuple(each for each in parse_format(text) if isinstance(each, Operator))


def _text_formatter(text: str) -> Formatter:
    parts = parse_format(text if text.endswith("\n") else f"{text}\n")
    pieces: list[Callable[[AccessRecord], str]] = []
    frame = ""
    for part in parts:
        if isinstance(part, Operator):
            frame += "%s"
            pieces.append(_shown(part))
        else:
            frame += part.replace("%", "%%")

    def line(record: AccessRecord) -> str:
        return frame % tuple([piece(record) for piece in pieces])

    return line


def _shown(operator: Operator) -> Callable[[AccessRecord], str]:
    """The operator's value as text; ``-`` where there is none."""
    get, limit = _getter(operator), operator.limit
    as_word = operator.name == "RESPONSE_CODE_DETAILS"  # which stands without quotation marks, as in Envoy

    def shown(record: AccessRecord) -> str:
        value = get(record)
        if value is None:
            return MISSING
        text = str(value)
        if as_word:
            text = text.replace(" ", "_")
        return escaped(text if limit is None else text[:limit])

    return shown


def escaped(text: str) -> str:
    """`text` with nothing in it that ends a quotation or a line, or that a terminal obeys."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return "".join(map(_escaped_character, text))


def _escaped_character(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))


# -- operators ---------------------------------------------------------------------------


def _getter(operator: Operator) -> Getter:
    match operator.name:
        case "START_TIME":
            return _start_time(operator.argument)
        case "REQ":
            first, other = _field(operator.argument), _field(operator.alternative)
            if not operator.alternative:
                return first

            def either(record: AccessRecord) -> Value:
                value = first(record)
                return other(record) if value is None else value

            return either
    return _VALUES[operator.name]


def _field(name: str) -> Getter:
    if name == ORIGINAL_PATH:
        return lambda record: None  # records have what the client asked for; see `:PATH`
    if name in _FIELDS:
        return _FIELDS[name]
    return lambda record: record.fields.get(name)


def _start_time(argument: str) -> Getter:
    if not argument:
        return lambda record: _iso(record.started)
    pieces = _TIME_PARTS.split(argument)

    def formatted(record: AccessRecord) -> Value:
        when = datetime.fromtimestamp(record.started, UTC)
        fraction = f"{int(record.started % 1 * 1e9):09d}"
        return "".join(
            _fraction(each, fraction, record.started) if index % 2 else when.strftime(each)
            for index, each in enumerate(pieces)
        )

    return formatted


def _fraction(directive: str, fraction: str, started: float) -> str:
    """``%s``, ``%f``, ``%3f`` …: what Envoy has beyond strftime (or C's differs in)."""
    if directive == "%s":
        return str(int(started))
    digits = directive[1:-1]
    return fraction[: int(digits) if digits else 9]


def _iso(started: float) -> str:
    """``2026-01-31T12:00:00.250Z``."""
    return datetime.fromtimestamp(started, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


_TIME_PARTS = re.compile(r"(%[1-9]?f|%s)")
_FIELDS: dict[str, Getter] = {
    ":method": lambda record: record.method or None,
    ":path": lambda record: record.target or None,
    ":authority": lambda record: record.host or None,
    "x-request-id": lambda record: record.request_id or None,
}
_VALUES: dict[str, Getter] = {
    "PROTOCOL": lambda record: record.version or None,
    "RESPONSE_CODE": lambda record: record.status,
    "RESPONSE_CODE_DETAILS": lambda record: record.detail or None,
    "RESPONSE_FLAGS": lambda record: record.flags or None,
    "BYTES_RECEIVED": lambda record: record.received,
    "BYTES_SENT": lambda record: record.sent,
    "DURATION": lambda record: _milliseconds(record.seconds),
    "RESP": lambda record: _milliseconds(record.upstream_seconds) if record.upstream_seconds >= 0 else None,
    "UPSTREAM_HOST": lambda record: record.endpoint or None,
    "UPSTREAM_CLUSTER": lambda record: record.cluster or None,
    "UPSTREAM_REQUEST_ATTEMPT_COUNT": lambda record: record.attempts,
    "ROUTE_NAME": lambda record: record.rule or None,
    "TRACE_ID": lambda record: record.trace_id or None,
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": lambda record: record.client or None,
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT": lambda record: record.peer or None,
}


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
