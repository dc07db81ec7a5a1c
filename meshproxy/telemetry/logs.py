"""Structured logs on the standard library: text for terminals, JSON lines for collectors."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import TextIO

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def _extras(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


def _component(record: logging.LogRecord) -> str:
    return record.name.removeprefix("meshproxy.")


class TextFormatter(logging.Formatter):
    """``12:30:01.250 WARNING health.monitor: message key=value``."""

    def format(self, record: logging.LogRecord) -> str:
        extras = "".join(f" {key}={value}" for key, value in _extras(record).items())
        line = f"{self.formatTime(record, '%H:%M:%S')}.{record.msecs:03.0f} {record.levelname:7} "
        line += f"{_component(record)}: {record.getMessage()}{extras}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JSONFormatter(logging.Formatter):
    """One JSON object a line: ``ts`` (seconds since 1970), ``level``, ``logger``, ``message`` and the extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "ts": round(record.created, 6),
            "level": record.levelname.lower(),
            "logger": _component(record),
            "message": record.getMessage(),
            **_extras(record),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


def configure_logging(log_format: str, level: str, stream: TextIO) -> None:
    """Send everything of at least `level` to `stream`, as ``text`` or ``json``."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JSONFormatter() if log_format == "json" else TextFormatter())
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
