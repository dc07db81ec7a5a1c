"""The file of the access log: rotation, stalls, full disks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshproxy.snapshot.messages import AccessRecords
from meshproxy.snapshot.model import AccessLog
from meshproxy.telemetry import access_log
from meshproxy.telemetry.access_log import AccessLogWriter
from tests.integration.conditions import wait_until
from tests.support.access import make_record


@pytest.fixture
def writer() -> Iterator[AccessLogWriter]:
    made = AccessLogWriter()
    yield made
    made.close()


def records(*targets: str, dropped: int = 0) -> AccessRecords:
    return AccessRecords(tuple(make_record(target=target) for target in targets), dropped)


def to(path: Path | str, **fields: object) -> AccessLog:
    return AccessLog(format="%REQ(:PATH)%", path=str(path), **fields)  # type: ignore[arg-type]


async def wait_for(path: Path, text: str) -> None:
    await wait_until(lambda: path.exists() and path.read_text() == text, f"{path} holds {text!r}")


async def test_lines_are_appended(writer: AccessLogWriter, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text("before\n")
    writer.configure(to(path))
    writer.write(records("/1", "/2"))
    await wait_for(path, "before\n/1\n/2\n")
    writer.write(records("/3", dropped=4))
    await wait_for(path, "before\n/1\n/2\n/3\n")
    await wait_until(lambda: writer.status().lines == 3, "three lines are counted")
    assert (writer.status().dropped, writer.status().problem) == (4, "")


async def test_the_file_is_for_its_owner_to_write_and_its_group_to_read(
    writer: AccessLogWriter, tmp_path: Path
) -> None:
    path = tmp_path / "access.log"
    writer.configure(to(path))
    writer.write(records("/1"))
    await wait_for(path, "/1\n")
    assert path.stat().st_mode & 0o137 == 0


async def test_a_file_that_was_moved_is_opened_anew(writer: AccessLogWriter, tmp_path: Path) -> None:
    path, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    writer.configure(to(path))
    writer.write(records("/1"))
    await wait_for(path, "/1\n")
    path.rename(moved)
    writer.write(records("/2"))
    await wait_for(path, "/2\n")
    path.unlink()
    path.write_text("made by logrotate\n")
    writer.write(records("/3"))
    await wait_for(path, "made by logrotate\n/3\n")
    assert moved.read_text() == "/1\n"


async def test_it_is_opened_anew_when_asked_to(writer: AccessLogWriter, tmp_path: Path) -> None:
    """As after the directory was mounted elsewhere: the name alone would not tell."""
    path = tmp_path / "access.log"
    writer.configure(to(path))
    writer.write(records("/1"))
    await wait_for(path, "/1\n")
    file = writer._file
    assert file is not None
    opened = file._descriptor
    os.dup2(os.open(os.devnull, os.O_WRONLY), opened)  # what is written there is lost
    file._was_moved = lambda: False  # type: ignore[method-assign]
    writer.reopen()
    writer.write(records("/2"))
    await wait_for(path, "/1\n/2\n")


async def test_a_directory_that_is_missing_costs_lines_until_it_is_there(
    writer: AccessLogWriter, tmp_path: Path
) -> None:
    path = tmp_path / "logs" / "access.log"
    writer.configure(to(path))
    writer.write(records("/1", "/2"))
    await wait_until(lambda: writer.status().problem, "the problem is told")
    assert (writer.status().problem, writer.status().dropped) == ("No such file or directory", 2)
    path.parent.mkdir()
    writer.write(records("/3"))
    await wait_for(path, "/3\n")
    await wait_until(lambda: not writer.status().problem, "all is well")
    assert writer.status().dropped == 2


async def test_a_full_disk_costs_lines(writer: AccessLogWriter) -> None:
    writer.configure(to("/dev/full"))
    writer.write(records("/1"))
    await wait_until(lambda: writer.status().problem == "No space left on device", "the problem is told")
    assert (writer.status().lines, writer.status().dropped) == (0, 1)


async def test_a_stalled_reader_costs_lines_and_never_time(
    writer: AccessLogWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_log, "MAX_WAITING", 100_000)
    monkeypatch.setattr(access_log, "LAST_WORDS", 0.0)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer.configure(to(pipe))
    line = "/" + "x" * 999
    for _ in range(1000):
        writer.write(records(line))  # nobody reads: the thread waits where it opens the pipe
    assert writer.status().dropped >= 900
    reader = os.open(pipe, os.O_RDONLY)
    try:
        assert os.read(reader, len(line) + 1).decode() == f"{line}\n"
    finally:
        os.close(reader)


async def test_another_path_and_format_count_on(writer: AccessLogWriter, tmp_path: Path) -> None:
    one, two = tmp_path / "1.log", tmp_path / "2.log"
    writer.configure(to(one))
    writer.write(records("/1"))
    writer.configure(to(two))
    writer.write(records("/2"))
    await wait_for(one, "/1\n")
    await wait_for(two, "/2\n")
    writer.configure(AccessLog(format="%RESPONSE_CODE%", path=str(two)))
    writer.write(records("/3"))
    await wait_for(two, "/2\n200\n")
    await wait_until(lambda: writer.status().lines == 3, "all lines are counted")
    writer.configure(None)
    writer.write(records("/4"))
    assert (writer.status().path, writer.status().lines) == ("", 3)


def test_what_waits_is_written_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    writer = AccessLogWriter()
    writer.configure(to(path))
    for number in range(100):
        writer.write(records(f"/{number}"))
    writer.close()
    assert path.read_text().splitlines() == [f"/{number}" for number in range(100)]
    writer.close()


def test_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    writer = AccessLogWriter()
    writer.configure(to("-"))
    writer.write(records("/out"))
    writer.close()
    assert capfd.readouterr().out == "/out\n"


async def test_a_line_that_was_cut_short_is_ended_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = tmp_path / "access.log", os.write
    failing = iter([3])

    def write(descriptor: int, data: bytes) -> int:
        size = next(failing, None)
        if size is None:
            return real(descriptor, data)
        monkeypatch.setattr("meshproxy.telemetry.access_log.os.write", full)
        return real(descriptor, data[:size])

    def full(descriptor: int, data: bytes) -> int:
        monkeypatch.setattr("meshproxy.telemetry.access_log.os.write", real)
        raise OSError(28, "No space left on device")

    writer = AccessLogWriter()
    writer.configure(to(path))
    monkeypatch.setattr("meshproxy.telemetry.access_log.os.write", write)
    writer.write(records("/long-one"))
    await wait_until(lambda: writer.status().dropped, "the first line is lost")
    writer.write(records("/2"))
    writer.close()
    assert path.read_text() == "/lo\n/2\n"
