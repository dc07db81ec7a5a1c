"""A real meshproxy, as a user starts it: `python -m meshproxy run`."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from meshproxy.base.addresses import SocketAddress
from tests.integration.addresses import SERVICES, free_address
from tests.integration.conditions import wait_until
from tests.integration.manifests import Manifest, make_proxy, to_yaml

STOP_WITHIN = 20.0
_NEVER = re.compile(r"Traceback|\w+Warning: |never awaited|never retrieved")
_ERROR = re.compile(r" (?:ERROR|CRITICAL) +\S+:")


class ProxyProcess:
    """One proxy with a directory of manifests, a state directory and an admin address of its own."""

    def __init__(self, directory: Path, prefix: Sequence[str] = ()) -> None:
        self.manifests = directory / "manifests"
        self.manifests.mkdir(parents=True)
        self.state = directory / "state"
        self.log = directory / "proxy.log"
        self.admin = free_address(SERVICES)
        self.expected_errors: list[str] = []
        """Regular expressions of logged errors that the test means to provoke; tracebacks it never means."""
        self._prefix = tuple(prefix)
        self._process: asyncio.subprocess.Process | None = None

    # -- configuration -------------------------------------------------------------------

    def configure(self, *documents: Manifest, **proxy_spec: Any) -> None:
        """Replace the whole configuration in one rename, the Proxy document included."""
        self.write("all.yaml", to_yaml(make_proxy(self.admin, **proxy_spec), *documents))

    def write(self, name: str, text: str) -> None:
        """Replace one file as editors do: a new file takes the old one's name."""
        temporary = self.manifests / f".{name}.new"
        temporary.write_text(text)
        temporary.replace(self.manifests / name)

    # -- life ----------------------------------------------------------------------------

    async def start(self, *options: str) -> None:
        """Start, and return once it is ready; fails with its log when it is not."""
        await self.spawn(*options)
        try:
            await wait_until(self._ready_or_dead, "the proxy is ready")
        finally:
            assert await self.ready(), f"the proxy is not ready, its log:\n{self.log_text()}"

    async def spawn(self, *options: str) -> None:
        """Start it and wait for nothing."""
        command = (*self._prefix, sys.executable, "-m", "meshproxy", "run", "-c", str(self.manifests))
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                *("--state-dir", str(self.state), *options),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | {"PYTHONWARNINGS": "default"},
            )

    async def _ready_or_dead(self) -> bool:
        return not self.alive or await self.ready()

    async def exit_status(self) -> int:
        """Wait until it ends by itself."""
        assert self._process is not None
        async with asyncio.timeout(STOP_WITHIN):
            return await self._process.wait()

    async def stop(self) -> None:
        """SIGTERM when it still runs: it must end with 0, and its log must hold nothing unexpected."""
        if self._process is None:
            return
        if self.alive:
            self.signal(signal.SIGTERM)
            try:
                status = await self.exit_status()
            except TimeoutError:
                await self.kill()
                raise AssertionError(f"SIGTERM did not stop the proxy:\n{self.log_text()}") from None
            assert status == 0, f"the proxy ended with {status}:\n{self.log_text()}"
        assert not self.suspicious_lines(), self.log_text()

    async def kill(self) -> None:
        """SIGKILL to it and its workers: for the end of a failed test, and for crashes."""
        for pid in (*self.worker_pids(), self.pid):
            _send(pid, signal.SIGKILL)
        assert self._process is not None
        await self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the supervisor."""
        _send(self.pid, number)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def worker_pids(self) -> tuple[int, ...]:
        """The worker processes, found as the supervisor's children."""
        try:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        except FileNotFoundError:
            return ()
        return tuple(int(pid) for pid in children if _is_worker(pid))

    # -- what it says --------------------------------------------------------------------

    def log_text(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def suspicious_lines(self) -> list[str]:
        """Tracebacks, Python's warnings, and errors that the test did not mean to provoke."""
        lines = self.log_text().splitlines()
        errors = [line for line in lines if _ERROR.search(line)]
        unexpected = [line for line in errors if not any(re.search(each, line) for each in self.expected_errors)]
        return [line for line in lines if _NEVER.search(line)] + unexpected

    async def ready(self) -> bool:
        """What `/readyz` says; False while nothing answers."""
        try:
            status, _ = await asyncio.to_thread(self._request, "/readyz")
        except OSError:
            return False
        return status == 200

    async def get(self, path: str) -> Any:
        """The JSON of an admin API path."""
        status, body = await asyncio.to_thread(self._request, path)
        assert status == 200, body
        return json.loads(body)

    async def text(self, path: str) -> str:
        """The text of an admin path."""
        status, body = await asyncio.to_thread(self._request, path)
        assert status == 200, body
        return body

    def _request(self, path: str, method: str = "GET") -> tuple[int, str]:
        connection = http.client.HTTPConnection(self.admin.host, self.admin.port, timeout=10)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    async def meshproxy(self, *arguments: str) -> tuple[int, str]:
        """Run the command line against this proxy: (exit status, everything it printed)."""
        return await run_meshproxy(*arguments, admin=self.admin)


async def run_meshproxy(*arguments: str, admin: SocketAddress | None = None) -> tuple[int, str]:
    """Run `meshproxy ARGUMENTS`: (exit status, everything it printed)."""
    environment = os.environ | ({"MESHPROXY_ADMIN": str(admin)} if admin else {})
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "meshproxy", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


def _is_worker(pid: str) -> bool:
    try:
        return b"meshproxy.runtime.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
