"""Rules for the Proxy's access log."""

from __future__ import annotations

from collections.abc import Iterator

from meshproxy.base.command_operators import FormatError, parse_format
from meshproxy.base.errors import Finding
from meshproxy.base.response_flags import FLAGS
from meshproxy.loader.rules import values
from meshproxy.loader.rules.values import finding
from meshproxy.loader.suggestions import did_you_mean
from meshproxy.resources.proxy import AccessLog

FORMATS = ("text", "json")
MAX_FORMAT = 4096
STATUSES = (100, 599)
FIELD = "spec.accessLog"


def check(log: AccessLog) -> Iterator[Finding]:
    yield from finding(f"{FIELD}.format", _format_problem(log.format))
    if log.path != "-" and not log.path.startswith("/"):
        message = f"{values.quote(log.path)} is no absolute path; write one, or - for standard output"
        yield Finding(field=f"{FIELD}.path", message=message)
    yield from finding(f"{FIELD}.samplePercent", values.percentage(log.sample_percent))
    if log.min_status is not None:
        yield from finding(f"{FIELD}.minStatus", values.in_range(log.min_status, *STATUSES))
    for index, flag in enumerate(log.flags):
        if flag not in FLAGS:
            message = f"there is no response flag {values.quote(flag)}{did_you_mean(flag, FLAGS)}; there are "
            yield Finding(field=f"{FIELD}.flags[{index}]", message=message + ", ".join(FLAGS))


def _format_problem(text: str) -> str | None:
    if text in FORMATS:
        return None
    if "%" not in text:
        hint = did_you_mean(text, FORMATS)
        return f"{values.quote(text)} has no operator{hint}; write text, json, or a format such as %RESPONSE_CODE%"
    if len(text) > MAX_FORMAT:
        return f"is longer than {MAX_FORMAT} characters"
    try:
        parse_format(text)
    except FormatError as error:
        return f"{error}{did_you_mean(error.word, error.known) if error.word else ''}"
    return None
