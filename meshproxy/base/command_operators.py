"""Format strings of access logs: text and Envoy's command operators, as ``%REQ(:METHOD)% %RESPONSE_CODE%``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

OPERATORS = {
    "START_TIME": "when the request began, in UTC; its argument is a strftime format, with %3f for milliseconds",
    "REQ": "a field of the request: REQ(NAME), or REQ(NAME?OTHER) for another where the first is not there",
    "PROTOCOL": "HTTP/1.1 or HTTP/1.0",
    "RESPONSE_CODE": "the status; 0 where there was no response",
    "RESPONSE_CODE_DETAILS": "why the proxy answered itself or broke off",
    "RESPONSE_FLAGS": "the same in two letters each",
    "BYTES_RECEIVED": "of the request's body",
    "BYTES_SENT": "of the response's body",
    "DURATION": "milliseconds from the request's first byte to the response's last",
    "RESP": "RESP(X-ENVOY-UPSTREAM-SERVICE-TIME): milliseconds from the last try to the head of its response",
    "UPSTREAM_HOST": "the endpoint",
    "UPSTREAM_CLUSTER": "the cluster",
    "UPSTREAM_REQUEST_ATTEMPT_COUNT": "how many tries there were",
    "ROUTE_NAME": "the rule",
    "TRACE_ID": "the trace that the request belongs to, recorded or not",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": "the client, as trusted proxies forwarded it",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT": "the other end of the connection",
}
"""Those that are supported, and what they mean."""
SERVICE_TIME = "x-envoy-upstream-service-time"
ORIGINAL_PATH = "x-envoy-original-path"
_PSEUDO = (":method", ":path", ":authority")
KNOWN_FIELDS = frozenset({*_PSEUDO, ORIGINAL_PATH, "x-request-id"})
"""Fields of a request that every record has."""
TEXT_FORMAT = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% '
    '%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" '
    '"%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"'
)
"""Envoy's default format."""
JSON_FORMAT = {
    "start_time": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "response_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "duration": "%DURATION%",
    "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
    "user_agent": "%REQ(USER-AGENT)%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "authority": "%REQ(:AUTHORITY)%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_cluster": "%UPSTREAM_CLUSTER%",
    "upstream_attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "route_name": "%ROUTE_NAME%",
    "trace_id": "%TRACE_ID%",
}
"""Istio's names for the members, where Istio has them."""
_OPERATOR = re.compile(r"%([A-Z][A-Z0-9_]*)(?:\(([^)]*)\))?(?::([0-9]+))?%")
_FIELD = re.compile(r":?[a-zA-Z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_DIRECTIVES = re.compile(r"%(?:[1-9]f|[YmdHMSjabABpIyeTFDzZsf%])")


class Operator(NamedTuple):
    """`argument` and `alternative` are field names in lower case, or START_TIME's format.

    `limit` is how many characters are shown.
    """

    name: str
    argument: str = ""
    alternative: str = ""
    limit: int | None = None


class FormatError(ValueError):
    """What is wrong with a format string; `word` is not among `known`, where that is what is wrong."""

    def __init__(self, message: str, word: str = "", known: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.word = word
        self.known = tuple(known)


def parse_format(text: str) -> tuple[str | Operator, ...]:
    """The text and the operators of a format string, in order; raises `FormatError`. ``%%`` is a percent sign."""
    parts: list[str | Operator] = []
    position = 0
    while position < len(text):
        percent = text.find("%", position)
        if percent < 0:
            parts.append(text[position:])
            break
        if percent > position:
            parts.append(text[position:percent])
        if text.startswith("%%", percent):
            parts.append("%")
            position = percent + 2
            continue
        match = _OPERATOR.match(text, percent)
        if match is None:
            shown = text[percent : percent + 30]
            raise FormatError(f"{shown!r} begins with no operator such as %RESPONSE_CODE%; write %% for a percent sign")
        parts.append(_operator(match[1], match[2], match[3]))
        position = match.end()
    return tuple(parts)


def logged_fields(parts: Iterable[str | Operator]) -> tuple[str, ...]:
    """The request's fields that the operators show and not every record has, sorted."""
    operators = [each for each in parts if isinstance(each, Operator) and each.name == "REQ"]
    names = {name for each in operators for name in (each.argument, each.alternative) if name}
    return tuple(sorted(names - KNOWN_FIELDS))


def _operator(name: str, argument: str | None, limit: str | None) -> Operator:
    if name not in OPERATORS:
        raise FormatError(f"there is no operator %{name}%", name, OPERATORS)
    length = int(limit) if limit is not None else None
    if name == "START_TIME":
        return Operator(name, _time_format(argument or ""), "", length)
    if name in ("REQ", "RESP"):
        return _of_field(name, argument, length)
    if argument is not None:
        raise FormatError(f"%{name}% takes no argument")
    return Operator(name, "", "", length)


def _time_format(argument: str) -> str:
    rest = _DIRECTIVES.sub("", argument)
    if "%" in rest:
        raise FormatError(
            f"START_TIME({argument}) has a directive that is not supported: {rest[rest.index('%') :][:3]}"
        )
    return argument


def _of_field(name: str, argument: str | None, limit: int | None) -> Operator:
    first, _, other = (argument or "").partition("?")
    for field in (first, *filter(None, (other,))):
        if not _FIELD.fullmatch(field):
            raise FormatError(f"%{name}({argument or ''})% needs a field's name, as in %REQ(USER-AGENT)%")
        lower = field.lower()
        if name == "RESP" and lower != SERVICE_TIME:
            raise FormatError(f"%RESP({field})%: of responses only {SERVICE_TIME.upper()} is logged")
        if lower.startswith(":") and lower not in _PSEUDO:
            known = [each.upper() for each in _PSEUDO]
            raise FormatError(f"there is no {field.upper()} in requests", field.upper(), known)
    return Operator(name, first.lower(), other.lower(), limit)
