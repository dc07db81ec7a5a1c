"""What a DNS answer costs beside dnsmasq on the same CPU, and what a forward adds.

    python -m benchmarks.bench_dns [--rounds N] [--seconds S]

Needs dnsperf, dnsmasq and two CPUs: the server is on CPU 0, dnsperf and the upstream are on CPU 1. The servers take
turns; ratios are of the medians' rounds, as in the other benchmarks.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks.processes import Program, free_port

LOAD_CPU, SERVER_CPU = 1, 0
OURS = (
    "web.default.svc.cluster.local A",
    "db.default.svc.cluster.local A",
    "web A",
    "nope.default.svc.cluster.local A",
)
FORWARDED = tuple(f"n{number}.kept.test A" for number in range(50))
UNCACHED = tuple(f"n{number}.new.test A" for number in range(50))
"""The upstream gives these a time to live of 0."""
DNSMASQ = ("dnsmasq", "-k", "-C", "/dev/null", "-u", "", "-x", "", "-R", "-h", "-z", "-c", "10000", "-0", "1000")
MANIFESTS = """\
apiVersion: meshproxy.dev/v1
kind: Proxy
metadata: {{name: bench}}
spec:
  admin: {{address: "127.0.0.1:{admin}"}}
  dns: {{address: "{dns}", upstreams: ["{upstream}"]}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{clusterIP: 127.96.200.2, ports: [{{port: {port}}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: db}}
spec: {{clusterIP: None, selector: {{app: db}}, ports: [{{port: 5432}}]}}
---
apiVersion: meshproxy.dev/v1
kind: Workload
metadata: {{name: db-1, labels: {{app: db}}}}
spec: {{address: 10.0.0.1}}
---
apiVersion: meshproxy.dev/v1
kind: Workload
metadata: {{name: db-2, labels: {{app: db}}}}
spec: {{address: 10.0.0.2}}
"""


class Sample(NamedTuple):
    """Queries a second, CPU time of one in µs, its average latency in µs."""

    rate: float
    cpu: float
    latency: float


class Server(NamedTuple):
    name: str
    program: Program
    address: tuple[str, int]

    def measure(self, directory: Path, questions: Sequence[str], seconds: float, waiting: int) -> Sample:
        """Ask `questions` over and over, `waiting` at a time."""
        names = directory / "questions"
        names.write_text("\n".join(questions) + "\n")
        host, port = self.address
        load = ("dnsperf", "-s", host, "-p", str(port), "-d", str(names), "-l", f"{seconds:g}", "-c", "1")
        before = self.program.cpu_seconds()
        done = subprocess.run(
            ("taskset", "-c", str(LOAD_CPU), *load, "-q", str(waiting)), capture_output=True, text=True, check=True
        )
        used = self.program.cpu_seconds() - before
        completed = _number(done.stdout, r"Queries completed:\s+(\d+)")
        rate = _number(done.stdout, r"Queries per second:\s+([\d.]+)")
        return Sample(rate, 1e6 * used / completed, 1e6 * _number(done.stdout, r"Average Latency \(s\):\s+([\d.]+)"))


def _number(text: str, pattern: str) -> float:
    match = re.search(pattern, text)
    if match is None:
        raise RuntimeError(f"dnsperf said something unexpected:\n{text}")
    return float(match[1])


def _upstream(directory: Path) -> Server:
    address = ("127.0.0.4", free_port("127.0.0.4"))
    records = [f"--host-record={name.split()[0]},192.0.2.1,600" for name in FORWARDED]
    command = (*DNSMASQ, "-a", address[0], "-p", str(address[1]), "--address=/new.test/192.0.2.2", *records)
    return Server("upstream", Program("upstream", command, directory, LOAD_CPU), address)


def _dnsmasq(directory: Path, upstream: tuple[str, int]) -> Server:
    address = ("127.0.0.2", free_port("127.0.0.2"))
    records = (
        "web.default.svc.cluster.local,127.96.200.2",
        "db.default.svc.cluster.local,10.0.0.1",
        "web,127.96.200.2",
    )
    hosts = [f"--host-record={each}" for each in (*records, "db.default.svc.cluster.local,10.0.0.2")]
    onward = ("--local=/cluster.local/", f"--server=/test/{upstream[0]}#{upstream[1]}")
    command = (*DNSMASQ, "-a", address[0], "-p", str(address[1]), *hosts, *onward)
    return Server("dnsmasq", Program("dnsmasq", command, directory, SERVER_CPU), address)


def _meshproxy(directory: Path, upstream: tuple[str, int]) -> Server:
    address = ("127.0.0.3", free_port("127.0.0.3"))
    manifests = directory / "manifests.yaml"
    places = {"dns": f"{address[0]}:{address[1]}", "upstream": f"{upstream[0]}:{upstream[1]}"}
    manifests.write_text(MANIFESTS.format(admin=free_port(), port=free_port("127.96.200.2"), **places))
    command = (sys.executable, "-m", "meshproxy", "run", "-c", str(manifests))
    return Server("meshproxy", Program("meshproxy", command, directory, SERVER_CPU), address)


def run(directory: Path, rounds: int, seconds: float) -> str:
    """The report, as a table in Markdown."""
    with ExitStack() as stack:
        upstream = _upstream(directory)
        stack.callback(upstream.program.stop)
        servers = [_dnsmasq(directory, upstream.address), _meshproxy(directory, upstream.address)]
        for server in servers:
            stack.callback(server.program.stop)
        for server in (upstream, *servers):
            server.program.wait_for_port(server.address)
        lines = ["| | CPU of a query, meshproxy ÷ dnsmasq | queries a second |", "|---|---|---|"]
        for what, questions in (("names of Services", OURS), ("forwarded names, kept", FORWARDED)):
            pairs = _rounds(directory, servers, questions, rounds, seconds, 100)
            cpu = statistics.median(ours.cpu / theirs.cpu for theirs, ours in pairs)
            rate = statistics.median(ours.rate / theirs.rate for theirs, ours in pairs)
            lines.append(f"| {what} | {cpu:.2f} | {rate:.2f} |")
        samples = _rounds(directory, [upstream, *servers], UNCACHED, rounds, seconds, 1)
        direct, dnsmasq, ours = (statistics.median(each.latency for each in of) for of in zip(*samples, strict=True))
    forward = f"dnsmasq adds {dnsmasq - direct:.0f} µs to an answer that is not kept, meshproxy {ours - direct:.0f} µs"
    return "\n".join([*lines, "", forward])


def _rounds(
    directory: Path, servers: Sequence[Server], questions: Sequence[str], rounds: int, seconds: float, waiting: int
) -> list[list[Sample]]:
    for server in servers:
        server.measure(directory, questions, 0.5, waiting)
    return [[server.measure(directory, questions, seconds, waiting) for server in servers] for _ in range(rounds)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    missing = [name for name in ("dnsperf", "dnsmasq", "taskset") if shutil.which(name) is None]
    if missing:
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as directory:
        print(run(Path(directory), arguments.rounds, arguments.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
