"""Lines for terminals and for collectors."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest

from meshproxy.telemetry.logs import RateLimited, configure_logging

log = logging.getLogger("meshproxy.dataplane.listener")


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_text() -> None:
    stream = io.StringIO()
    configure_logging("text", "info", stream)
    log.debug("not said")
    log.warning("full: %d", 3, extra={"listener": "l"})
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d\d\d WARNING dataplane\.listener: full: 3 listener=l\n", stream.getvalue())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        ("10.0.0.1:80", "10.0.0.1:80"),
        ("", '""'),
        ("two words", '"two words"'),
        ('say "x"', r'"say \"x\""'),
        ("a=b", '"a=b"'),
        ("line\nother", r'"line\nother"'),
        ("\x1b[2J", r'"\u001b[2J"'),
    ],
)
def test_values_in_text(value: object, text: str) -> None:
    stream = io.StringIO()
    configure_logging("text", "info", stream)
    log.info("said", extra={"key": value})
    assert stream.getvalue().endswith(f"INFO    dataplane.listener: said key={text}\n")


def test_a_peer_cannot_write_to_the_terminal() -> None:
    stream = io.StringIO()
    configure_logging("text", "info", stream)
    log.info("the peer said %s", "\x1b[2J\r\x9b")
    assert stream.getvalue().endswith("the peer said \\x1b[2J\\x0d\\x9b\n")


@pytest.mark.parametrize(
    ("stream", "no_color", "level"),
    [(Terminal(), "", "\x1b[33mWARNING\x1b[0m"), (Terminal(), "1", " WARNING"), (io.StringIO(), "", " WARNING")],
)
def test_colours_are_for_terminals(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, no_color: str, level: str
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    configure_logging("text", "info", stream)
    log.warning("full")
    assert level in stream.getvalue()
    assert ("\x1b" in stream.getvalue()) is ("\x1b" in level)


def say_in_json(message: str, **fields: Any) -> dict[str, Any]:
    """What one line says."""
    stream = io.StringIO()
    configure_logging("json", "debug", stream)
    log.error(message, **fields)
    (line,) = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert isinstance(entry, dict)
    return entry


def test_json() -> None:
    entry = say_in_json("broken\nline", extra={"n": 1, "address": object})
    assert list(entry) == ["ts", "level", "logger", "message", "n", "address"]
    assert (entry["level"], entry["logger"], entry["message"], entry["n"]) == (
        "error",
        "dataplane.listener",
        "broken\nline",
        1,
    )
    assert isinstance(entry["ts"], float)


def test_extra_fields_do_not_hide_the_standard_ones() -> None:
    assert say_in_json("said", extra={"level": "x", "ts": "y"})["level"] == "error"


def test_an_exception_is_part_of_its_line() -> None:
    try:
        raise ValueError("x")
    except ValueError:
        assert "ValueError: x" in say_in_json("broken", exc_info=True)["exception"]


def test_a_warning_is_said_once_in_an_interval(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    limited = RateLimited(logging.getLogger("t"), 1.0, lambda: now)
    for _ in range(5):
        limited.warning("no %s", "descriptor")
    now = 1.5
    limited.warning("no %s", "descriptor")
    now = 3.0
    limited.warning("no %s", "descriptor")
    assert caplog.messages == [
        "no descriptor",
        "no descriptor (4 more since the last time)",
        "no descriptor",
    ]
    assert limited.count == 7
