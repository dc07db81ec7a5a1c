"""Thousands of instances in a real Consul agent: the first snapshot, and what one instance's change takes.

``python -m benchmarks.bench_discovery --workloads 5000 --services 250`` beside the same with few workloads, in one run.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import Program, free_port
from tests.support.consul import ConsulServer

FEW = 50
"""Workloads that the many are compared with."""
NODES = 50
WITHIN = 60.0
HOST = "127.0.0.1"
PAUSE = 0.3
"""Seconds between changes whose CPU time is counted: each is compiled by itself."""


@dataclass(frozen=True)
class Result:
    """Seconds. `latencies` are from the change's request to Consul to the ACK of every worker."""

    workloads: int
    services: int
    first: float
    health: tuple[float, ...]
    registration: tuple[float, ...]
    cpu: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", type=int, default=5000)
    parser.add_argument("--services", type=int, default=250)
    parser.add_argument("--changes", type=int, default=20)
    options = parser.parse_args()
    print("| workloads | services | start to ACK | health to ACK | registration to ACK | CPU a change |")
    print("|---|---|---|---|---|---|")
    for workloads in (FEW, options.workloads):
        services = max(1, options.services * workloads // options.workloads)
        print(_row(measure(workloads, services, options.changes)), flush=True)


def _row(result: Result) -> str:
    def latency(seconds: Iterable[float]) -> str:
        ordered = sorted(seconds)
        return f"{statistics.median(ordered) * 1e3:.0f} ms, at most {ordered[-1] * 1e3:.0f}"

    cells = (
        str(result.workloads),
        str(result.services),
        f"{result.first:.2f} s",
        latency(result.health),
        latency(result.registration),
        f"{result.cpu * 1e3:.0f} ms",
    )
    return f"| {' | '.join(cells)} |"


def measure(workloads: int, services: int, changes: int) -> Result:
    """Start an agent with `workloads` instances of `services`, then a proxy, and change one instance at a time."""
    with tempfile.TemporaryDirectory() as directory, ConsulServer(Path(directory) / "consul") as consul:
        consul.put_all("/v1/catalog/register", (_registration(n, services) for n in range(workloads)))
        with _proxy(Path(directory), consul) as (proxy, admin, started):
            admin.wait_for(lambda status: status["sources"][1]["counts"].get("Workload") == workloads)
            admin.wait_for(lambda status: status["ready"])
            first = time.monotonic() - started
            health = tuple(_change(consul, admin, _checked(n, services, False)) for n in range(changes))
            added = tuple(_change(consul, admin, _registration(workloads + n, services)) for n in range(changes))
            before = proxy.cpu_seconds()
            for number in range(changes):
                consul.put("/v1/catalog/register", _checked(number, services, True))
                time.sleep(PAUSE)
            return Result(workloads, services, first, health, added, (proxy.cpu_seconds() - before) / changes)


@contextmanager
def _proxy(directory: Path, consul: ConsulServer) -> Iterator[tuple[Program, _Admin, float]]:
    port = free_port()
    source = {"consul": {"address": consul.address, "import": {"services": "all", "port": 8080}}}
    document = {
        "apiVersion": "meshproxy.dev/v1",
        "kind": "Proxy",
        "metadata": {"name": "discovery"},
        "spec": {"admin": {"address": f"{HOST}:{port}"}, "sources": [source]},
    }
    manifests = directory / "proxy.json"
    manifests.write_text(json.dumps(document))
    command = (sys.executable, "-m", "meshproxy", "run", "-c", str(manifests), "--state-dir", str(directory / "state"))
    started = time.monotonic()
    program = Program("proxy", command, directory, cpu=0)
    try:
        yield program, _Admin(port), started
    finally:
        program.stop()


def _registration(number: int, services: int) -> dict[str, Any]:
    name, node = f"s{number % services}", f"n{number % NODES}"
    return {
        "Node": node,
        "Address": f"10.0.0.{number % NODES + 1}",
        "SkipNodeUpdate": number >= NODES,
        "Service": {
            "ID": f"{name}-{number}",
            "Service": name,
            "Port": 8000,
            "Address": f"10.{1 + (number >> 16)}.{number >> 8 & 255}.{number & 255}",
            "Tags": ["v1"],
            "Meta": {"version": "1"},
        },
        **_checked(number, services, True),
    }


def _checked(number: int, services: int, passing: bool) -> dict[str, Any]:
    name, node = f"s{number % services}", f"n{number % NODES}"
    status = "passing" if passing else "critical"
    check = {"Node": node, "CheckID": f"c-{number}", "Name": "c", "Status": status, "ServiceID": f"{name}-{number}"}
    return {"Node": node, "Address": f"10.0.0.{number % NODES + 1}", "SkipNodeUpdate": True, "Check": check}


def _change(consul: ConsulServer, admin: _Admin, body: dict[str, Any]) -> float:
    version = admin.status()["config"]["lastGood"]
    started = time.monotonic()
    consul.put("/v1/catalog/register", body)
    admin.wait_for(lambda status: status["config"]["lastGood"] != version)
    took = time.monotonic() - started
    time.sleep(PAUSE)
    return took


class _Admin:
    """The admin API on one connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=10)

    def status(self) -> dict[str, Any]:
        self._connection.request("GET", "/api/v1/status")
        status: dict[str, Any] = json.loads(self._connection.getresponse().read())
        return status

    def wait_for(self, condition: Any) -> None:
        deadline = time.monotonic() + WITHIN
        while time.monotonic() < deadline:
            try:
                if condition(self.status()):
                    return
            except (OSError, http.client.HTTPException):
                self._connection.close()
            time.sleep(0.005)
        raise AssertionError("waited in vain")


if __name__ == "__main__":
    main()
