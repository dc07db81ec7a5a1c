"""Structured logs on the standard library: text for terminals, JSON lines for collectors.

Writing is synchronous: a reader of standard error that stalls, stalls the process. So nothing is logged
for each connection or datagram, and what could come in floods goes through `RateLimited`.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable
from typing import TextIO

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters but for tab and newline, which our own messages hold."""
_UNSAFE = re.compile(r"[\s\"=\x00-\x1f]")
_COLOURS = {logging.DEBUG: "\x1b[2m", logging.WARNING: "\x1b[33m", logging.ERROR: "\x1b[31m"}
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def _extras(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


def _component(record: logging.LogRecord) -> str:
    return record.name.removeprefix("meshproxy.")


class TextFormatter(logging.Formatter):
    """``12:30:01.250 WARNING health.monitor: message key=value``, the level in colour if so wanted.

    Values that hold spaces or quotes are quoted, and control characters escaped: a peer may have chosen them.
    """

    def __init__(self, *, colour: bool = False) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        extras = "".join(f" {key}={_quoted(str(value))}" for key, value in _extras(record).items())
        line = f"{self.formatTime(record, '%H:%M:%S')}.{record.msecs:03.0f} {self._level(record)} "
        line += _CONTROL.sub(_escaped, f"{_component(record)}: {record.getMessage()}{extras}")
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line

    def _level(self, record: logging.LogRecord) -> str:
        name = f"{record.levelname:7}"
        return f"{_COLOURS.get(record.levelno, '')}{name}\x1b[0m" if self._colour else name


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if not value or _UNSAFE.search(value) else value


def _escaped(control: re.Match[str]) -> str:
    return f"\\x{ord(control[0]):02x}"


class JSONFormatter(logging.Formatter):
    """One JSON object a line: ``ts`` (seconds since 1970), ``level``, ``logger``, ``message`` and the extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "ts": round(record.created, 6),
            "level": record.levelname.lower(),
            "logger": _component(record),
            "message": record.getMessage(),
        }
        entry |= {key: value for key, value in _extras(record).items() if key not in entry}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


def configure_logging(log_format: str, level: str, stream: TextIO) -> None:
    """Send everything of at least `level` (``debug`` to ``error``) to `stream`, as ``text`` or ``json``.

    Text to a terminal has colours, unless `NO_COLOR` is set (no-color.org).
    """
    colour = stream.isatty() and not os.environ.get("NO_COLOR")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JSONFormatter() if log_format == "json" else TextFormatter(colour=colour))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


class RateLimited:
    """Says a warning at most once in `interval` seconds, and how often it was not said.

    `count` is how many there were in all.
    """

    def __init__(self, logger: logging.Logger, interval: float, clock: Callable[[], float]) -> None:
        self._logger = logger
        self._interval = interval
        self._clock = clock
        self._next = float("-inf")
        self._unsaid = 0
        self.count = 0

    def warning(self, message: str, *values: object) -> None:
        self.count += 1
        now = self._clock()
        if now < self._next:
            self._unsaid += 1
            return
        text = message % values
        more = f" ({self._unsaid} more since the last time)" if self._unsaid else ""
        self._logger.warning("%s%s", text, more)
        self._next = now + self._interval
        self._unsaid = 0
