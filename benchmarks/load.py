"""What goes through the proxies: wrk for requests, our own sockets for idle connections; nginx answers."""

from __future__ import annotations

import re
import selectors
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import LOAD_CPU, Address, find, write
from benchmarks.processes import Program, free_port

BULK_BYTES = 1 << 20
MEDIUM_BYTES = 16 << 10
BACKENDS = 4
"""Addresses on which the one nginx listens."""

BACKEND_HEAD = """\
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
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
"""
"""How the configuration of an nginx that answers begins."""

_BACKEND = (
    BACKEND_HEAD
    + """\
  client_header_timeout 1h;
  client_max_body_size 0;
  client_body_buffer_size 2m;
  server {{
    {listens}
    location / {{ return 200 "hello world\n"; }}
    location = /r0/told {{ return 200 "$http_x_forwarded_for $http_x_forwarded_proto $http_x_forwarded_host\n"; }}
    location /bulk {{ root {directory}/www; sendfile on; }}
    location /medium {{ root {directory}/www; sendfile on; }}
    location /upload {{
      # What reads the whole of a body before it answers.
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_pass http://unix:{directory}/uploads.socket:/;
    }}
  }}
  server {{
    listen unix:{directory}/uploads.socket;
    location / {{ return 200 "hello world\n"; }}
  }}
}}
"""
)


def start_backend(directory: Path) -> tuple[Program, tuple[Address, ...]]:
    """An nginx on several addresses that answers twelve bytes, at `/medium` 16 KiB and at `/bulk` a mebibyte.

    At `/upload` it reads what it is sent before it answers, at `/r0/told` it says what it was told of the client.
    """
    addresses = tuple(("127.0.0.1", free_port()) for _ in range(BACKENDS))
    listens = "\n    ".join(f"listen {host}:{port} backlog=8192;" for host, port in addresses)
    return run_backend(directory, _BACKEND.format(directory=directory, listens=listens), addresses), addresses


def run_backend(directory: Path, text: str, addresses: Sequence[Address]) -> Program:
    """Run nginx with a configuration of this text until it listens on `addresses`; `www` has what it may serve."""
    nginx = find("NGINX", "nginx")
    if nginx is None or find("WRK", "wrk") is None:
        raise RuntimeError("the benchmark needs nginx and wrk; on Debian: apt-get install nginx wrk")
    www = directory / "www"
    www.mkdir()
    (www / "bulk").write_bytes(b"x" * BULK_BYTES)
    (www / "medium").write_bytes(b"x" * MEDIUM_BYTES)
    directory.chmod(0o755)  # nginx' worker is another user
    config = write(directory, "backend.conf", text)
    program = Program("backend", [nginx, "-p", str(directory), "-c", config], directory, LOAD_CPU)
    for address in addresses:
        program.wait_for_port(address)
    return program


@dataclass(frozen=True)
class LoadResult:
    """What wrk saw: requests done, how long that took (seconds), latency percentiles (seconds), failures."""

    requests: int
    seconds: float
    p50: float
    p99: float
    errors: int


def start_wrk(
    directory: Path,
    name: str,
    address: Address,
    path: str,
    connections: int,
    seconds: float,
    *,
    headers: Sequence[str] = (),
    script: str | None = None,
    scheme: str = "http",
    environment: Mapping[str, str] | None = None,
) -> Program:
    """Begin to load `address`, with the requests of a Lua `script` if any; `wrk_result` reads what came of it."""
    wrk = find("WRK", "wrk")
    assert wrk is not None
    command = [wrk, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency"]
    for header in headers:
        command += ["-H", header]
    if script is not None:
        command += ["-s", write(directory, f"{name}.lua", script)]
    command.append(f"{scheme}://{address[0]}:{address[1]}{path}")
    return Program(name, command, directory, LOAD_CPU, environment)


def run_wrk(
    directory: Path, address: Address, path: str, connections: int, seconds: float, headers: Sequence[str] = ()
) -> LoadResult:
    """Load `address` with wrk for `seconds`."""
    program = start_wrk(directory, "wrk", address, path, connections, seconds, headers=headers)
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
