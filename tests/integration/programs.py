"""Real programs behind and in front of a proxy; a test whose program is missing says what to install."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from meshproxy.base.addresses import SocketAddress
from tests.integration.conditions import wait_until

PACKAGES = {
    "curl": "curl",
    "dig": "dnsutils",
    "dnsmasq": "dnsmasq-base",
    "ip": "iproute2",
    "nginx": "nginx",
    "openssl": "openssl",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "redis-benchmark": "redis-tools",
    "redis-cli": "redis-tools",
    "redis-server": "redis-server",
    "setpriv": "util-linux",
    "wrk": "wrk",
}


def require(*names: str) -> None:
    """Skip the test where a program is missing."""
    missing = sorted({PACKAGES[name] for name in names if shutil.which(name) is None})
    if missing:
        pytest.skip(f"not installed; on Debian: apt-get install {' '.join(missing)}")


@asynccontextmanager
async def running(
    *command: str, directory: Path, listens: SocketAddress, reached_by: tuple[str, ...] = ()
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A server that runs while the body does, from when it accepts on `listens`.

    `reached_by` is what to put before a command that is to reach it, where that is not this process.
    """
    log = directory / f"server-{listens.host}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output, cwd=directory
        )
    try:
        await wait_until(lambda: _ended(process) or _accepts(listens, reached_by), f"{command} listens")
        assert not _ended(process), log.read_text()
        yield process
    finally:
        if not _ended(process):
            process.terminate()
        await process.wait()


def _ended(process: asyncio.subprocess.Process) -> bool:
    return process.returncode is not None


async def _accepts(address: SocketAddress, reached_by: tuple[str, ...]) -> bool:
    connect = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 1)"
    if reached_by:
        command = (*reached_by, sys.executable, "-c", connect, address.host, str(address.port))
        return await _status_of(*command) == 0
    try:
        socket.create_connection((address.host, address.port), timeout=1).close()
    except OSError:
        return False
    return True


async def _status_of(*command: str) -> int:
    devnull = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdin=devnull, stdout=devnull, stderr=devnull)
    return await process.wait()


async def output_of(*command: str, environment: Mapping[str, str] | None = None, patience: float = 60) -> str:
    """What a command prints within `patience` seconds; fails the test when its exit status is not 0."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
    )
    async with asyncio.timeout(patience):
        output, _ = await process.communicate()
    text = output.decode()
    assert process.returncode == 0, f"{' '.join(command)}: {text}"
    return text


NGINX = """\
worker_processes 1;
daemon off;
pid {directory}/nginx-{name}.pid;
error_log {directory}/nginx-{name}.error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
{directives}}}
"""
NAMED_SERVER = """\
  server {{
    listen {address};
    location / {{ return 200 "{name}\\n"; }}
    location /healthz {{ return {health}; }}
  }}
"""


def nginx(name: str, address: SocketAddress, directory: Path, health: int = 200) -> tuple[str, ...]:
    """The command of an nginx that answers its name; `/healthz` answers with status `health`."""
    return nginx_of(name, NAMED_SERVER.format(name=name, address=address, health=health), directory)


def nginx_of(name: str, directives: str, directory: Path) -> tuple[str, ...]:
    """The command of an nginx that speaks HTTP as `directives` say, a server among them."""
    config = directory / f"nginx-{name}.conf"
    config.write_text(NGINX.format(name=name, directory=directory, directives=directives))
    return ("nginx", "-p", str(directory), "-c", str(config))
