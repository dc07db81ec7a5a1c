"""What goes through the proxies: wrk for requests, our own sockets for idle connections; nginx answers."""

from __future__ import annotations

import re
import selectors
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import LOAD_CPU, Address, find
from benchmarks.processes import Program, free_port

BULK_BYTES = 1 << 20

_BACKEND = """\
worker_processes 1;
worker_rlimit_nofile 65536;
daemon off;
pid {directory}/backend.pid;
error_log {directory}/backend.error.log;
events {{ worker_connections 40000; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  client_header_timeout 1h;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  server {{
    listen {address[0]}:{address[1]} backlog=8192;
    location / {{ return 200 "hello world\\n"; }}
    location /bulk {{ root {directory}/www; sendfile on; }}
  }}
}}
"""


def start_backend(directory: Path) -> tuple[Program, Address]:
    """An nginx that answers twelve bytes, and at `/bulk` a mebibyte."""
    nginx = find("NGINX", "nginx")
    if nginx is None or find("WRK", "wrk") is None:
        raise RuntimeError("the benchmark needs nginx and wrk; on Debian: apt-get install nginx wrk")
    address = ("127.0.0.1", free_port())
    www = directory / "www"
    www.mkdir()
    (www / "bulk").write_bytes(b"x" * BULK_BYTES)
    config = directory / "backend.conf"
    config.write_text(_BACKEND.format(directory=directory, address=address))
    directory.chmod(0o755)  # nginx' worker is another user
    program = Program("backend", [nginx, "-p", str(directory), "-c", str(config)], directory, LOAD_CPU)
    program.wait_for_port(address)
    return program, address


@dataclass(frozen=True)
class LoadResult:
    """What wrk saw: requests done, how long that took (seconds), latency percentiles (seconds), failures."""

    requests: int
    seconds: float
    p50: float
    p99: float
    errors: int


def start_wrk(
    directory: Path, name: str, address: Address, path: str, connections: int, seconds: float, close: bool = False
) -> Program:
    """Begin to load `address`; `wrk_result` reads what came of it once it ended."""
    wrk = find("WRK", "wrk")
    assert wrk is not None
    command = [wrk, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency"]
    if close:
        command += ["-H", "Connection: close"]
    return Program(name, [*command, f"http://{address[0]}:{address[1]}{path}"], directory, LOAD_CPU)


def run_wrk(
    directory: Path, address: Address, path: str, connections: int, seconds: float, close: bool = False
) -> LoadResult:
    """Load `address` for `seconds`."""
    program = start_wrk(directory, "wrk", address, path, connections, seconds, close)
    program.wait()
    return wrk_result(program)


def wrk_result(program: Program) -> LoadResult:
    """Read the report of a wrk that ended; raises `RuntimeError` when it has none."""
    text = program.log.read_text()
    total = re.search(r"(\d+) requests in ([\d.]+)(m?s|m)", text)
    if total is None:
        raise RuntimeError(f"wrk said: {text}")
    errors = sum(int(count) for count in re.findall(r"(?:connect|read|write|timeout|responses:) (\d+)", text))
    return LoadResult(
        requests=int(total[1]),
        seconds=_seconds(total[2], total[3]),
        p50=_percentile(text, "50%"),
        p99=_percentile(text, "99%"),
        errors=errors,
    )


def _percentile(text: str, name: str) -> float:
    match = re.search(rf"{name}\s+([\d.]+)(us|ms|s|m)", text)
    return _seconds(match[1], match[2]) if match else float("nan")


def _seconds(number: str, unit: str) -> float:
    return float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}[unit]


class IdleConnections:
    """Connections on which one request was answered, and which are silent since."""

    REQUEST = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n"
    BATCH = 200

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    def __len__(self) -> int:
        return len(self._sockets)

    def open(self, address: Address, count: int) -> None:
        """Open `count` of them; raises `RuntimeError` where one is not answered within 10 s."""
        while len(self) < count:
            batch = [socket.create_connection(address, timeout=10) for _ in range(min(self.BATCH, count - len(self)))]
            self._sockets += batch
            for each in batch:
                each.sendall(self.REQUEST)
            self._await_answers(batch)

    @staticmethod
    def _await_answers(batch: list[socket.socket]) -> None:
        with selectors.DefaultSelector() as selector:
            for each in batch:
                selector.register(each, selectors.EVENT_READ)
            deadline = time.monotonic() + 10
            while selector.get_map() and time.monotonic() < deadline:
                for key, _ in selector.select(1):
                    assert isinstance(key.fileobj, socket.socket)
                    if not key.fileobj.recv(65536):
                        raise RuntimeError("an idle connection was closed")
                    selector.unregister(key.fileobj)
            if selector.get_map():
                raise RuntimeError(f"{len(selector.get_map())} requests were not answered within 10 s")

    def close(self) -> None:
        for each in self._sockets:
            each.close()
        self._sockets.clear()
