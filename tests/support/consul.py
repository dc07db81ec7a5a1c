"""A real Consul agent: in its own directory, on free ports, ended with its owner."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from benchmarks.processes import free_port

START_WITHIN = 30.0
HOST = "127.0.0.1"
NO_PORTS = {"serf_wan": -1, "dns": -1, "grpc": -1}


def consul_binary() -> str:
    """The agent's program; skips the test where there is none."""
    found = os.environ.get("CONSUL_BIN") or shutil.which("consul")
    if found is None:
        pytest.skip("no Consul agent; install consul, or set CONSUL_BIN to its path")
    return found


class ConsulServer:
    """A server agent of one. It keeps its ports when it is restarted.

    `settings` are added to its configuration; `http_port` among them is a port of the test's choice.
    """

    def __init__(self, directory: Path, **settings: Any) -> None:
        self._binary = consul_binary()
        self._directory = directory
        self.port: int = settings.pop("http_port", None) or free_port()
        self.settings: dict[str, Any] = {
            "ports": {"http": self.port, "server": free_port(), "serf_lan": free_port()} | NO_PORTS,
            "bind_addr": HOST,
            "client_addr": HOST,
            "server": True,
            "bootstrap": True,
            "node_name": "node-1",
            "log_level": "WARN",
            "performance": {"raft_multiplier": 1},
            "leave_on_terminate": False,
            "disable_update_check": True,
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"

    # -- life ----------------------------------------------------------------------------

    def start(self) -> None:
        """Return once it has a leader, knows its own node, and its CA has a root where it has a CA."""
        self._directory.mkdir(exist_ok=True)
        config = self._directory / "agent.json"
        config.write_text(json.dumps(self.settings))
        command = [self._binary, "agent", f"-config-file={config}", f"-data-dir={self._directory / 'data'}"]
        with (self._directory / "agent.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.perf_counter() + START_WITHIN
        while not self._is_up():
            assert self._process.poll() is None, self.log()
            assert time.perf_counter() < deadline, self.log()

    def stop(self, *, forget: bool = False) -> None:
        """End it at once; with `forget` its state goes too."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if forget:
            shutil.rmtree(self._directory / "data")

    def pause(self, paused: bool) -> None:
        """Keep it from answering, while its connections stay open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if paused else signal.SIGCONT)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def log(self) -> str:
        return (self._directory / "agent.log").read_text()

    def _is_up(self) -> bool:
        try:
            status, nodes = self.request("GET", "/v1/catalog/nodes?wait=200ms&index=1", token=self._master())
        except OSError:
            return False
        if status == 500:
            return not self.settings["bootstrap"]  # one that has no peers to elect with is up as far as it can be
        return status == 200 and bool(json.loads(nodes)) and self._has_root()

    def _has_root(self) -> bool:
        if "connect" not in self.settings:
            return True
        status, roots = self.request("GET", "/v1/agent/connect/ca/roots", token=self._master())
        return status == 200 and any(root["Active"] for root in json.loads(roots)["Roots"] or ())

    def _master(self) -> str:
        token: str = self.settings.get("acl", {}).get("tokens", {}).get("master", "")
        return token

    # -- what it is told -----------------------------------------------------------------

    def request(self, method: str, path: str, body: Any = None, token: str = "") -> tuple[int, bytes]:
        """(status, body) of a request; `body` is sent as JSON unless it is bytes."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=10)
        try:
            data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
            connection.request(method, path, data, {"X-Consul-Token": token} if token else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def put(self, path: str, body: Any = None) -> Any:
        """PUT; fails the test when it is refused."""
        status, answer = self.request("PUT", path, body, self._master())
        assert status == 200, (path, status, answer)
        return json.loads(answer) if answer else None

    def put_all(self, path: str, bodies: Iterable[Any]) -> None:
        """PUT one after the other on one connection, as fast as it goes."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=10)
        try:
            for body in bodies:
                connection.request("PUT", path, json.dumps(body))
                answer = connection.getresponse()
                assert answer.status == 200, answer.read()
                answer.read()
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        status, answer = self.request("GET", path, token=self._master())
        assert status == 200, (path, status, answer)
        return json.loads(answer)

    def register(self, name: str, id: str = "", status: str = "passing", **fields: Any) -> None:  # noqa: A002
        """Register an instance with the agent, with a check that has `status`; empty for none."""
        body: dict[str, Any] = {"Name": name, "ID": id or name, "Port": 8080, **fields}
        if status:
            body["Check"] = {"CheckID": f"check:{body['ID']}", "TTL": "1h", "Status": status}
        self.put("/v1/agent/service/register", body)

    def check(self, id: str, status: str) -> None:  # noqa: A002
        """Set the check of instance `id` to `pass`, `warn` or `fail`."""
        self.put(f"/v1/agent/check/{status}/check:{id}")

    def deregister(self, id: str) -> None:  # noqa: A002
        self.put(f"/v1/agent/service/deregister/{id}")

    def services(self) -> Mapping[str, Any]:
        """The instances that this agent has, by id."""
        found: Mapping[str, Any] = self.get("/v1/agent/services")
        return found

    def clear(self) -> None:
        """Without services and keys again."""
        for name in list(self.services()):
            self.deregister(name)
        status, _ = self.request("DELETE", "/v1/kv/?recurse", token=self._master())
        assert status == 200
