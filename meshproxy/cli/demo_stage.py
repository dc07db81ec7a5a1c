"""The demo's stage: three real servers, a real proxy before them, all in processes of their own."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

from meshproxy.base.addresses import SocketAddress
from meshproxy.cli.client import AdminClient

NAMES = ("backend-1", "backend-2", "backend-3")
SERVICE_PORT = 8080
"""Above 1024, so that the demo needs no rights."""
START_WITHIN = 20.0
STOP_WITHIN = 10.0
POLL = 0.05

_MANIFEST = """\
apiVersion: meshproxy.dev/v1
kind: Proxy
metadata: {{name: demo}}
spec:
  admin: {{address: "{admin}"}}
  drainTimeout: 2s
---
apiVersion: v1
kind: Service
metadata: {{name: backend}}
spec:
  selector: {{app: backend}}
  clusterIP: {cluster_ip}
  ports: [{{name: http, port: {port}, targetPort: http}}]
---
apiVersion: meshproxy.dev/v1
kind: TrafficPolicy
metadata: {{name: backend}}
spec:
  targetRefs: [{{kind: Service, name: backend}}]
  loadBalancing: {{algorithm: RoundRobin}}
  healthCheck: {{http: {{path: /}}, interval: 500ms, timeout: 500ms, unhealthyThreshold: 2, healthyThreshold: 1}}
  connections: {{connectTimeout: 1s}}
"""
_WORKLOAD = """\
---
apiVersion: meshproxy.dev/v1
kind: Workload
metadata: {{name: {name}, labels: {{app: backend}}}}
spec: {{address: {address}, ports: {{http: {port}}}}}
"""


class Stage:
    """Sets everything up on entering, in `directory`, and takes it all down on leaving."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._proxy: subprocess.Popen[bytes] | None = None
        self._servers: dict[str, subprocess.Popen[bytes]] = {}
        self._addresses = {name: _free_address(f"127.0.1.{number}") for number, name in enumerate(NAMES, 1)}
        self.manifest = directory / "demo.yaml"
        self.log = directory / "proxy.log"
        self.admin = _admin_address()
        self.service = _free_service_address()
        self.client = AdminClient(self.admin, None)

    def __enter__(self) -> Stage:
        try:
            for name in NAMES:
                self.start_server(name)
            self._start_proxy()
            self._wait(self._all_healthy, "the proxy and its three endpoints are up")
        except BaseException:
            self._take_down()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._take_down()

    # -- servers -------------------------------------------------------------------------

    def address_of(self, name: str) -> SocketAddress:
        return self._addresses[name]

    def pid_of(self, name: str) -> int:
        return self._servers[name].pid

    def start_server(self, name: str) -> None:
        address = self._addresses[name]
        command = (sys.executable, "-m", "meshproxy.cli.demo_backend", name, address.host, str(address.port))
        self._servers[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def kill_server(self, name: str) -> None:
        """SIGKILL, and gone when this returns."""
        self._servers[name].kill()
        self._servers[name].wait()

    # -- the proxy -----------------------------------------------------------------------

    def statuses(self) -> dict[str, str]:
        """Each endpoint's status, as `meshproxy get endpoints` has it."""
        return {row["name"]: row["status"] for row in self.client.get("endpoints")}

    def wait_for_status(self, name: str, status: str) -> None:
        self._wait(lambda: self.statuses().get(name) == status, f"{name} is {status.lower()}")

    def _start_proxy(self) -> None:
        text = _MANIFEST.format(admin=self.admin, cluster_ip=self.service.host, port=self.service.port)
        for name, address in self._addresses.items():
            text += _WORKLOAD.format(name=name, address=address.host, port=address.port)
        self.manifest.write_text(text)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MESHPROXY_")}
        command = (sys.executable, "-m", "meshproxy", "run", "-c", str(self.manifest))
        with self.log.open("wb") as log:
            self._proxy = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )

    def _all_healthy(self) -> bool:
        if self._proxy is not None and self._proxy.poll() is not None:
            raise click.ClickException(f"the proxy ended; it said:\n{self.log.read_text()}")
        try:
            return is_ready(self.admin) and set(self.statuses().values()) == {"Healthy"}
        except click.ClickException:
            return False

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + START_WITHIN  # noqa: TID251 a command waits by the clock
        while not condition():
            if time.monotonic() > deadline:  # noqa: TID251
                said = self.log.read_text() if self.log.exists() else ""
                raise click.ClickException(f"{what}: not within {START_WITHIN:g} s; the proxy said:\n{said}")
            time.sleep(POLL)  # noqa: TID251

    def _take_down(self) -> None:
        if self._proxy is not None:
            self._proxy.send_signal(signal.SIGTERM)
            try:
                self._proxy.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                self._proxy.kill()
                self._proxy.wait()
        for server in self._servers.values():
            server.kill()
            server.wait()


def is_ready(admin: SocketAddress) -> bool:
    """Whether ``/readyz`` answers 200."""
    connection = http.client.HTTPConnection(admin.host, admin.port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _free_address(host: str, port: int = 0) -> SocketAddress:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        return SocketAddress(host, probe.getsockname()[1])


def _admin_address() -> SocketAddress:
    """The usual one, or a free port where another proxy has it."""
    try:
        return _free_address("127.0.0.1", 15000)
    except OSError:
        return _free_address("127.0.0.1")


def _free_service_address() -> SocketAddress:
    for last in range(10, 255):
        try:
            return _free_address(f"127.96.0.{last}", SERVICE_PORT)
        except OSError:
            continue
    raise click.ClickException(f"port {SERVICE_PORT} is taken on every address from 127.96.0.10 to 127.96.0.254")
