"""What the L7 benchmark measures: requests of several kinds by wrk, and an open loop at a fixed rate."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import BULK_BYTES, MEDIUM_BYTES, start_wrk, wrk_result
from benchmarks.open_loop import OpenLoopResult, run_open_loop
from benchmarks.peers import Address, Proxy
from benchmarks.routes import FEW_ROUTES, MANY_ROUTES, Host
from benchmarks.scenarios import Sample, make_sample

RATE = 2000
"""Requests a second of the open loop."""
LOOK_AT_MEMORY = 0.7
"""The share of a measurement after which memory is looked at."""

_ROUTES_SCRIPT = """\
local requests, number = {{}}, 0
init = function()
  for index = 0, {count} - 1 do
    requests[index] = wrk.format("GET", "/r" .. index .. "/item")
  end
end
request = function()
  number = (number + {step}) % {count}
  return requests[number]
end
"""
_POST_SCRIPT = """\
wrk.method = "POST"
wrk.body = string.rep("x", {size})
"""


@dataclass(frozen=True)
class Load:
    """One kind of load: requests of `script` (default: GET `path`) to the routes of `host`."""

    scenario: str
    title: str
    connections: int
    host: Host = FEW_ROUTES
    path: str = "/r0/item"
    script: str | None = None


def _over_routes(host: Host, step: int) -> str:
    """Ask for one route after the other; `step` is prime to their number."""
    return _ROUTES_SCRIPT.format(count=host.count, step=step)


LOADS = (
    Load("small", "12 bytes, 10 routes", 32, script=_over_routes(FEW_ROUTES, 3)),
    Load("routes", "12 bytes, 1,000 routes", 32, MANY_ROUTES, script=_over_routes(MANY_ROUTES, 619)),
    Load("many", "12 bytes, 1,000 connections", 1000, script=_over_routes(FEW_ROUTES, 3)),
    Load("get-16k", "16 kB down", 32, path="/medium"),
    Load("get-1m", "1 MB down", 8, path="/bulk"),
    Load("post-16k", "16 kB up", 32, path="/upload", script=_POST_SCRIPT.format(size=MEDIUM_BYTES)),
    Load("post-1m", "1 MB up", 8, path="/upload", script=_POST_SCRIPT.format(size=BULK_BYTES)),
)
LATENCY = "latency"


@dataclass(frozen=True)
class LatencySample:
    """Milliseconds at `RATE` requests a second, of one proxy and of the backend without any."""

    proxy: str
    p50_ms: float
    p99_ms: float
    direct_p50_ms: float
    direct_p99_ms: float
    late_ms: float
    cpu_us: float
    errors: int

    @property
    def added_p50_ms(self) -> float:
        return self.p50_ms - self.direct_p50_ms

    @property
    def added_p99_ms(self) -> float:
        return self.p99_ms - self.direct_p99_ms


def measure(load: Load, proxy: Proxy, directory: Path, seconds: float) -> Sample:
    """Load `proxy`; its CPU time is divided by the requests that it answered, and its memory looked at meanwhile."""
    before = proxy.program.cpu_seconds()
    program = start_wrk(
        directory, "wrk", proxy.address, load.path, load.connections, seconds,
        headers=(f"Host: {load.host.name}",), script=load.script,
    )  # fmt: skip
    memory = _memory_during(proxy, seconds)
    program.wait()
    result = wrk_result(program)
    spent = proxy.program.cpu_seconds() - before
    return make_sample(load.scenario, proxy.name, result, spent, memory=memory)


def _memory_during(proxy: Proxy, seconds: float) -> int:
    time.sleep(LOOK_AT_MEMORY * seconds)
    return proxy.program.pss()


def measure_latency(proxies: Sequence[Proxy], backend: Address, directory: Path, seconds: float) -> list[LatencySample]:
    """One round: the backend without a proxy, then each of `proxies`."""
    direct = run_open_loop(directory, backend, FEW_ROUTES.name, RATE, seconds)
    samples = []
    for proxy in proxies:
        before = proxy.program.cpu_seconds()
        result = run_open_loop(directory, proxy.address, FEW_ROUTES.name, RATE, seconds)
        spent = proxy.program.cpu_seconds() - before
        samples.append(_latency_sample(proxy.name, result, direct, spent / (RATE * seconds) * 1e6))
    return samples


def _latency_sample(proxy: str, result: OpenLoopResult, direct: OpenLoopResult, cpu_us: float) -> LatencySample:
    return LatencySample(
        proxy=proxy,
        p50_ms=result.p50 * 1e3,
        p99_ms=result.p99 * 1e3,
        direct_p50_ms=direct.p50 * 1e3,
        direct_p99_ms=direct.p99 * 1e3,
        late_ms=result.late * 1e3,
        cpu_us=cpu_us,
        errors=result.errors,
    )
