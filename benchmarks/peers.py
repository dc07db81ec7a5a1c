"""The proxies that the L4 benchmark compares, each set up to accept on one address and connect to one backend.

A peer is found by the environment (`HAPROXY`, `NGINX`, `ENVOY`) or on the PATH; one that is
not there is left out. Settings are each program's own for plain TCP on one core; timeouts
and connection limits are raised alike so that none of them closes or refuses what is measured.
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.processes import Program, children_of, command_line, free_port, pin

PROXY_CPU = 0
LOAD_CPU = 1
MAX_CONNECTIONS = 12000
RESERVE = 200
"""Descriptors of a proxy that no connection holds."""

BASELINE = "baseline"
"""Another checkout of meshproxy, measured like a peer."""

Address = tuple[str, int]


@dataclass(frozen=True)
class Proxy:
    """A proxy that runs: where it listens and what it costs."""

    name: str
    program: Program
    address: Address
    measured_pids: tuple[int, ...]
    """The processes whose memory connections are held in."""


@dataclass(frozen=True)
class Peer:
    """A way to run one proxy in front of backends."""

    name: str
    start: Callable[[Path, Sequence[Address]], Proxy]


def find(variable: str, name: str) -> str | None:
    """The path of a program: what the environment says, or what the PATH has."""
    return os.environ.get(variable) or shutil.which(name)


def capacity() -> int:
    """How many connections, of two descriptors each, a proxy can hold within this process' limit of open files."""
    return min(MAX_CONNECTIONS, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - RESERVE) // 2)


def write(directory: Path, name: str, text: str) -> str:
    """Write a configuration; returns its path."""
    path = directory / name
    path.write_text(text)
    return str(path)


def run(name: str, command: list[str], directory: Path, address: Address) -> Proxy:
    """Run a proxy on the proxies' CPU until it listens."""
    program = Program(name, command, directory, PROXY_CPU)
    program.wait_for_port(address)
    return Proxy(name, program, address, program.pids())


def run_haproxy(program: str, directory: Path, text: str, address: Address) -> Proxy:
    """Run HAProxy with a configuration of this text."""
    return run("haproxy", [program, "-db", "-f", write(directory, "haproxy.cfg", text)], directory, address)


def run_nginx(program: str, directory: Path, text: str, address: Address) -> Proxy:
    """Run nginx with a configuration of this text."""
    config = write(directory, "nginx.conf", text)
    return run("nginx", [program, "-p", str(directory), "-c", config], directory, address)


def run_envoy(program: str, directory: Path, text: str, address: Address) -> Proxy:
    """Run Envoy, on one core, with a configuration of this text."""
    config = write(directory, "envoy.yaml", text)
    options = ["--concurrency", "1", "--log-level", "error", "--disable-hot-restart"]
    return run("envoy", [program, "-c", config, *options], directory, address)


# -- meshproxy -----------------------------------------------------------------------

_PROXY = """\
apiVersion: meshproxy.dev/v1
kind: Proxy
metadata: {{name: bench}}
spec:
  workers: 1
  admin: {{address: "127.0.0.1:{admin}"}}
{spec}---
"""
_MESHPROXY = """\
apiVersion: v1
kind: Service
metadata: {{name: bench}}
spec:
  clusterIP: {host}
  selector: {{app: bench}}
  ports: [{{name: tcp, port: {port}, targetPort: tcp}}]
---
apiVersion: meshproxy.dev/v1
kind: Workload
metadata: {{name: bench-1, labels: {{app: bench}}}}
spec: {{address: {backend[0]}, ports: {{tcp: {backend[1]}}}}}
"""


@dataclass(frozen=True)
class Meshproxy(Proxy):
    """meshproxy itself, with what the reload benchmark needs besides."""

    admin: Address
    manifests: Path


def start_meshproxy(directory: Path, backends: Sequence[Address]) -> Meshproxy:
    """Run meshproxy in front of the first of `backends`."""
    address = ("127.96.200.1", free_port("127.96.200.1"))
    text = _MESHPROXY.format(host=address[0], port=address[1], backend=backends[0])
    return run_meshproxy(directory, text, address)


def run_meshproxy(
    directory: Path, text: str, address: Address, checkout: Path | None = None, spec: str = ""
) -> Meshproxy:
    """Run meshproxy, that of `checkout` if any, with its worker on the proxies' CPU and its supervisor on the other.

    `text` is its manifests without the Proxy, `spec` more of that one: lines of YAML.
    """
    admin = ("127.0.0.1", free_port())
    name = "meshproxy" if checkout is None else BASELINE
    manifests = directory / "manifests"
    manifests.mkdir()
    write(manifests, "bench.yaml", _PROXY.format(admin=admin[1], spec=spec) + text)
    command = [sys.executable, "-m", "meshproxy", "run", "-c", str(manifests)]
    environment = {"PYTHONPATH": str(checkout.resolve())} if checkout is not None else {}
    program = Program(name, command, directory, LOAD_CPU, environment)
    # Its sockets listen before a worker accepts from them, and what measured at once would measure its start.
    program.wait_for_answer(f"http://{admin[0]}:{admin[1]}/readyz")
    program.wait_for_port(address)
    workers = tuple(pid for pid in children_of(program.pid) if "meshproxy.runtime.worker" in command_line(pid))
    for pid in workers:
        pin(pid, PROXY_CPU)
    return Meshproxy(name, program, address, workers, admin, manifests)


# -- HAProxy -------------------------------------------------------------------------

_HAPROXY = """\
global
  nbthread 1
  maxconn {limit}
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
frontend front
  bind {address[0]}:{address[1]} backlog 4096
  maxconn {limit}
  default_backend back
backend back
  server one {backend[0]}:{backend[1]}
"""


def _start_haproxy(program: str, directory: Path, backends: Sequence[Address]) -> Proxy:
    address = ("127.0.0.1", free_port())
    text = _HAPROXY.format(address=address, backend=backends[0], limit=capacity())
    return run_haproxy(program, directory, text, address)


# -- nginx ---------------------------------------------------------------------------

NGINX_STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
_NGINX = """\
{module}
worker_processes 1;
worker_rlimit_nofile {descriptors};
daemon off;
pid {directory}/nginx-stream.pid;
error_log {directory}/nginx-stream.error.log;
events {{ worker_connections {descriptors}; }}
stream {{
  server {{
    listen {address[0]}:{address[1]} backlog=4096;
    proxy_connect_timeout 5s;
    proxy_timeout 1h;
    proxy_pass {backend[0]}:{backend[1]};
  }}
}}
"""


def _start_nginx(program: str, directory: Path, backends: Sequence[Address]) -> Proxy:
    address = ("127.0.0.1", free_port())
    text = _NGINX.format(
        module=f"load_module {NGINX_STREAM};" if NGINX_STREAM.exists() else "",
        descriptors=2 * capacity() + RESERVE // 2,
        directory=directory,
        address=address,
        backend=backends[0],
    )
    return run_nginx(program, directory, text, address)


# -- Envoy ---------------------------------------------------------------------------

_ENVOY = """\
static_resources:
  listeners:
  - address: {{socket_address: {{address: {address[0]}, port_value: {address[1]}}}}}
    tcp_backlog_size: 4096
    filter_chains:
    - filters:
      - name: envoy.filters.network.tcp_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: bench
          cluster: back
  clusters:
  - name: back
    type: STATIC
    connect_timeout: 5s
    circuit_breakers: {{thresholds: [{{max_connections: {limit}, max_pending_requests: {limit}}}]}}
    load_assignment:
      cluster_name: back
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: {backend[0]}, port_value: {backend[1]}}}}}}}
"""


def _start_envoy(program: str, directory: Path, backends: Sequence[Address]) -> Proxy:
    address = ("127.0.0.1", free_port())
    text = _ENVOY.format(address=address, backend=backends[0], limit=capacity())
    return run_envoy(program, directory, text, address)


Starter = Callable[[str, Path, Sequence[Address]], Proxy]
_STARTERS: Mapping[str, Starter] = {"haproxy": _start_haproxy, "nginx": _start_nginx, "envoy": _start_envoy}


def peers(names: Sequence[str] = ("meshproxy", *_STARTERS)) -> tuple[list[Peer], list[str]]:
    """Those of `names` that can run here, and the names of those that are missing."""
    return those_here(names, start_meshproxy, _STARTERS)


def those_here(
    names: Sequence[str], ours: Callable[..., Proxy], starters: Mapping[str, Starter], checkout: Path | None = None
) -> tuple[list[Peer], list[str]]:
    """`names` as peers, where their programs are found, and the names of the others; `RuntimeError` if none is.

    The meshproxy of `checkout`, another one, is a peer, too: `ours` takes it by that name.
    """
    found: list[Peer] = []
    missing: list[str] = []
    for name in names:
        if name == "meshproxy":
            found.append(Peer(name, ours))
        elif program := find(name.upper(), name):
            found.append(Peer(name, _bound(starters[name], program)))
        else:
            missing.append(name)
    if checkout is not None:
        found.append(Peer(BASELINE, partial(ours, checkout=checkout)))
    if not found:
        raise RuntimeError(f"not installed: {', '.join(missing)}")
    return found, missing


def _bound(starter: Starter, program: str) -> Callable[[Path, Sequence[Address]], Proxy]:
    return lambda directory, backends: starter(program, directory, backends)
