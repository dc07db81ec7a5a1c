"""Writes the access log, in a thread of its own: a disk or a reader that stalls costs lines, never time.

Theory of operation. The loop turns records to lines and hands blocks of them over; the thread writes what is there in
one go. What waits is bounded: beyond it lines are dropped, and counted. A file is opened by the thread, again when it
was asked to (SIGHUP) or when its name means another file (logrotate moved it), and again with each block while it
cannot be opened or written.
"""

from __future__ import annotations

import logging
import os
import select
import threading
from pathlib import Path
from typing import NamedTuple

import msgspec

from meshproxy.snapshot.messages import AccessRecords
from meshproxy.snapshot.model import AccessLog
from meshproxy.telemetry.access_lines import Formatter, line_formatter

MAX_WAITING = 16 * 1024 * 1024
"""Bytes of lines that wait to be written."""
LAST_WORDS = 2.0
"""Seconds that the end of the process waits for the last lines."""
STANDARD_OUTPUT = "-"
_MODE = 0o640

_log = logging.getLogger(__name__)


class AccessLogStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`path` is empty where there is no access log; `problem` says why it cannot be written, while that is so."""

    path: str = ""
    lines: int = 0
    dropped: int = 0
    problem: str = ""


class AccessLogWriter:
    """The access log as configured now. Its counts go on when the configuration changes."""

    def __init__(self) -> None:
        self._config: AccessLog | None = None
        self._format: Formatter | None = None
        self._file: _FileThread | None = None
        self._left: list[_FileThread] = []
        self._dropped = 0

    def configure(self, config: AccessLog | None) -> None:
        """Log as `config` says from now on; None is not at all."""
        if config == self._config:
            return
        if self._file is not None and (config is None or config.path != self._file.path):
            self._file.finish()
            self._left.append(self._file)
            self._file = None
        self._config = config
        self._format = line_formatter(config) if config is not None else None
        if config is not None and self._file is None:
            self._file = _FileThread(config.path)

    def write(self, records: AccessRecords) -> None:
        """Log requests; never blocks."""
        self._dropped += records.dropped
        if self._file is not None and self._format is not None:
            self._file.put("".join(map(self._format, records.records)).encode(), len(records.records))

    def reopen(self) -> None:
        """The file was moved away: open it anew."""
        if self._file is not None:
            self._file.reopen()

    def status(self) -> AccessLogStatus:
        file = self._file
        files = [*self._left, *filter(None, (file,))]
        return AccessLogStatus(
            path=file.path if file is not None else "",
            lines=sum(each.lines for each in files),
            dropped=self._dropped + sum(each.dropped for each in files),
            problem=file.problem if file is not None else "",
        )

    def close(self) -> None:
        """Write what waits, for a short time at the most."""
        if self._file is not None:
            self._file.finish()
            self._file.join()


class _Block(NamedTuple):
    data: bytes
    lines: int


class _FileThread:
    """Owns one file, or standard output. `lines`, `dropped` and `problem` may be read from any thread."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lines = self.dropped = 0
        self.problem = ""
        self._changed = threading.Condition()
        self._blocks: list[_Block] = []
        self._waiting = 0
        self._reopening = self._closing = False
        self._descriptor = -1
        self._torn = False
        self._thread = threading.Thread(target=self._run, name="access log", daemon=True)
        self._thread.start()

    # -- from the loop -------------------------------------------------------------------

    def put(self, data: bytes, lines: int) -> None:
        with self._changed:
            if self._waiting + len(data) > MAX_WAITING:
                self.dropped += lines
                return
            self._blocks.append(_Block(data, lines))
            self._waiting += len(data)
            self._changed.notify()

    def reopen(self) -> None:
        with self._changed:
            self._reopening = True

    def finish(self) -> None:
        """Write what waits, then end."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def join(self) -> None:
        """Wait for the end; what a stalled writer holds is lost."""
        self._thread.join(LAST_WORDS)

    # -- in the thread -------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._blocks or self._closing)
                blocks, self._blocks = self._blocks, []
                closing, reopening = self._closing and not blocks, self._reopening
                self._reopening = False
            if closing:
                self._close_file()
                return
            self._write_blocks(blocks, reopening)
            with self._changed:
                self._waiting -= sum(len(each.data) for each in blocks)

    def _write_blocks(self, blocks: list[_Block], reopening: bool) -> None:
        count = sum(each.lines for each in blocks)
        data = b"".join(each.data for each in blocks)
        try:
            self._open(reopening)
            self._write(b"\n" + data if self._torn else data)
        except OSError as error:
            with self._changed:
                self.dropped += count
            self._say(error.strerror or str(error))
            self._close_file()
        else:
            self.lines += count
            self._say("")

    def _open(self, reopening: bool) -> None:
        if self.path == STANDARD_OUTPUT:
            self._descriptor = 1
            return
        if self._descriptor >= 0 and (reopening or self._was_moved()):
            self._close_file()
        if self._descriptor < 0:
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _MODE)

    def _was_moved(self) -> bool:
        try:
            return not os.path.samestat(Path(self.path).stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return True

    def _write(self, data: bytes) -> None:
        """All of it; `_torn` while a line has no end."""
        left = memoryview(data)
        while left:
            try:
                written = os.write(self._descriptor, left)
            except BlockingIOError:  # somebody made standard output non-blocking
                select.select((), (self._descriptor,), ())
                continue
            self._torn = left[written - 1] != 10
            left = left[written:]

    def _close_file(self) -> None:
        if self.path != STANDARD_OUTPUT and self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def _say(self, problem: str) -> None:
        if problem != self.problem:
            where = "standard output" if self.path == STANDARD_OUTPUT else self.path
            if problem:
                _log.error(
                    "the access log cannot be written to %s: %s; its lines are dropped meanwhile", where, problem
                )
            else:
                _log.info("the access log is written to %s again", where)
        self.problem = problem
