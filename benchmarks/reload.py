"""Ten thousand endpoints change while requests go on: how long until the worker has them, and who notices."""

from __future__ import annotations

import json
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.load import run_wrk, start_wrk, wrk_result
from benchmarks.peers import Address, Meshproxy

ACK_TIMEOUT = 60.0
CONNECTIONS = 8
_SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: large}
spec:
  selector: {app: large}
  ports: [{name: tcp, port: 8080, targetPort: tcp}]
"""
_WORKLOAD = """\
---
apiVersion: meshproxy.dev/v1
kind: Workload
metadata: {{name: large-{index}, labels: {{app: large}}}}
spec: {{address: 127.{second}.{third}.{fourth}, ports: {{tcp: {port}}}}}
"""


@dataclass(frozen=True)
class ReloadResult:
    """`ack_seconds` are from the file's replacement to the worker's ACK; `errors` of the load meanwhile."""

    endpoints: int
    ack_seconds: tuple[float, ...]
    p99_before_ms: float
    p99_during_ms: float
    errors: int


def measure_reload(proxy: Meshproxy, directory: Path, endpoints: int, reloads: int, seconds: float) -> ReloadResult:
    """Replace all endpoints of a large Service `reloads` times while another Service is under load."""
    file = proxy.manifests / "large.yaml"
    before = run_wrk(directory, proxy.address, "/", CONNECTIONS, seconds)
    version = _acknowledged(proxy.admin)
    _replace_text(file, _manifest(endpoints, 8080))
    _await_other_version(proxy.admin, version)
    load = start_wrk(directory, "wrk-reload", proxy.address, "/", CONNECTIONS, seconds * reloads)
    times = tuple(_reload_once(proxy, file, endpoints, 8081 + index % 2) for index in range(reloads))
    load.wait()
    during = wrk_result(load)
    file.unlink()
    return ReloadResult(endpoints, times, before.p99 * 1e3, during.p99 * 1e3, before.errors + during.errors)


def _reload_once(proxy: Meshproxy, file: Path, endpoints: int, port: int) -> float:
    version = _acknowledged(proxy.admin)
    text = _manifest(endpoints, port)
    started = time.monotonic()
    _replace_text(file, text)
    _await_other_version(proxy.admin, version)
    return time.monotonic() - started


def _replace_text(file: Path, text: str) -> None:
    temporary = file.with_suffix(".new")
    temporary.write_text(text)
    temporary.replace(file)


def _manifest(endpoints: int, port: int) -> str:
    workloads = (
        _WORKLOAD.format(index=index, second=16 + (index >> 16), third=index >> 8 & 255, fourth=index & 255, port=port)
        for index in range(1, endpoints + 1)
    )
    return _SERVICE + "".join(workloads)


def _await_other_version(admin: Address, version: str) -> str:
    deadline = time.monotonic() + ACK_TIMEOUT
    while time.monotonic() < deadline:
        now = _acknowledged(admin)
        if now and now != version:
            return now
        time.sleep(0.01)
    raise RuntimeError(f"the reload was not acknowledged within {ACK_TIMEOUT:g} s")


def _acknowledged(admin: Address) -> str:
    """The version that every worker has acknowledged; empty while they differ."""
    with urllib.request.urlopen(f"http://{admin[0]}:{admin[1]}/api/v1/status", timeout=10) as answer:
        status: dict[str, Any] = json.load(answer)
    versions = {worker["version"] for worker in status["workers"]}
    return versions.pop() if len(versions) == 1 else ""
