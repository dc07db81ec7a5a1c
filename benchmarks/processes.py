"""Programs that a benchmark runs: pinned to a CPU, watched through /proc, stopped at the end."""

from __future__ import annotations

import itertools
import os
import random
import resource
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
START_TIMEOUT = 20.0
STOP_TIMEOUT = 10.0
_PORTS = itertools.cycle(random.SystemRandom().sample(range(20_000, 30_000), 10_000))


class Program:
    """A running program and its descendants. Its output goes to a file in `directory`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        directory: Path,
        cpu: int,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        with self.log.open("wb") as log, _Pinned(cpu):
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env={**os.environ, **(environment or {})},
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def pids(self) -> tuple[int, ...]:
        """The program's process and all that descend from it."""
        return tuple(_descendants(self.pid))

    def cpu_seconds(self) -> float:
        """User and system time of the program's processes so far (`/proc/PID/stat`, proc(5))."""
        return sum(cpu_seconds(pid) for pid in self.pids())

    def pss(self) -> int:
        """Proportional set size of the program's processes, bytes."""
        return sum(pss_of(pid) for pid in self.pids())

    def wait_for_port(self, address: tuple[str, int]) -> None:
        """Return once `address` accepts; raises `RuntimeError` with the program's output when it does not."""
        complaint = f"does not listen on {address[0]}:{address[1]}"
        self._wait_for(lambda: socket.create_connection(address, timeout=1), complaint)

    def wait_for_answer(self, url: str) -> None:
        """Return once `url` answers 200; raises `RuntimeError` as `wait_for_port` does."""
        self._wait_for(lambda: urllib.request.urlopen(url, timeout=1), f"does not answer 200 at {url}")

    def _wait_for(self, opened: Callable[[], AbstractContextManager[object]], complaint: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with opened():
                    return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError(f"{self.name} {complaint}:\n{self.log.read_text()[-2000:]}")

    def wait(self) -> None:
        """Return once the program ended by itself."""
        self._process.wait()

    def stop(self) -> None:
        """SIGTERM, then SIGKILL for what is left."""
        pids = self.pids()
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            for pid in pids:
                _kill(pid)
            self._process.wait()


class _Pinned:
    """Children started inside run on `cpu` only (affinity is inherited, sched_setaffinity(2))."""

    def __init__(self, cpu: int) -> None:
        self._cpu = cpu
        self._before = os.sched_getaffinity(0)

    def __enter__(self) -> None:
        os.sched_setaffinity(0, {self._cpu})

    def __exit__(self, *error: object) -> None:
        os.sched_setaffinity(0, self._before)


def pin(pid: int, cpu: int) -> None:
    """Move a process, all its threads, to `cpu`."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {cpu})


def raise_descriptor_limit(wanted: int) -> int:
    """Raise this process' limit of open files, which programs inherit, to `wanted` if that is allowed."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
    except (ValueError, PermissionError):  # no rights to go beyond the hard limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def free_port(host: str = "127.0.0.1", kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port of `host` that nobody has, another one each time.

    Not one of those that clients are given (Linux' ``ip_local_port_range``, from 32768 on), nor a NodePort: nobody
    takes it before it is used, nor while a program that had it is restarted.
    """
    for port in itertools.islice(_PORTS, 100):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no port of {host} is free")


def pss_of(pid: int) -> int:
    """A process' proportional set size in bytes (`/proc/PID/smaps_rollup`); 0 once it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def children_of(pid: int) -> tuple[int, ...]:
    """The processes that `pid` started."""
    children: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        children += map(int, path.read_text().split())
    return tuple(children)


def command_line(pid: int) -> str:
    """What `pid` was started as."""
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


def _descendants(pid: int) -> Iterable[int]:
    yield pid
    for child in children_of(pid):
        yield from _descendants(child)


def cpu_seconds(pid: int) -> float:
    """What a process has used, in user and system mode; 0 once it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    fields = text.rpartition(")")[2].split()  # the name before it may hold spaces
    return (int(fields[11]) + int(fields[12])) / _TICK


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
