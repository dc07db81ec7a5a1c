"""What is measured: one function a scenario, each giving a `Sample` of one proxy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import BULK_BYTES, IdleConnections, LoadResult, run_wrk
from benchmarks.peers import Address, Proxy
from benchmarks.processes import pss_of

SMALL_CONNECTIONS = 32
BULK_CONNECTIONS = 4
SHORT_CONNECTIONS = 16
WARM_UP_CONNECTIONS = 200


class NothingAnswered(RuntimeError):
    """A measurement that ended before the first answer."""


@dataclass(frozen=True)
class Sample:
    """One measurement: `rate` in units a second, `cpu_us` of the proxy a unit, `p99_ms` of the client's latency.

    `memory` is the program's proportional set size meanwhile, bytes; 0 where nobody looked.
    """

    scenario: str
    proxy: str
    rate: float
    cpu_us: float
    p99_ms: float
    errors: int
    p50_ms: float = 0.0
    memory: int = 0


@dataclass(frozen=True)
class IdleSample:
    """Memory: `bytes_each` connection, and `rest_bytes` of the whole program without any."""

    proxy: str
    connections: int
    bytes_each: float
    rest_bytes: int


@dataclass(frozen=True)
class Load:
    """One kind of load; `unit` (`units`) is what is counted, `scale` how many of them a request is."""

    scenario: str
    unit: str
    units: str
    path: str
    connections: int
    headers: tuple[str, ...] = ()
    scale: float = 1.0


LOADS = (
    Load("small", "request", "requests", "/", SMALL_CONNECTIONS),
    Load("bulk", "MB", "MB", "/bulk", BULK_CONNECTIONS, scale=BULK_BYTES / 1e6),
    Load("connections", "connection", "connections", "/", SHORT_CONNECTIONS, headers=("Connection: close",)),
)


def measure(load: Load, proxy: Proxy, directory: Path, seconds: float) -> Sample:
    """Load `proxy` and divide the CPU time that it spent by the work that it did."""
    before = proxy.program.cpu_seconds()
    result = run_wrk(directory, proxy.address, load.path, load.connections, seconds, load.headers)
    spent = proxy.program.cpu_seconds() - before
    return make_sample(load.scenario, proxy.name, result, spent, scale=load.scale)


def make_sample(
    scenario: str, proxy: str, result: LoadResult, spent: float, *, scale: float = 1.0, memory: int = 0
) -> Sample:
    """Divide the seconds of CPU that `proxy` spent by the units, `scale` a request, that it answered.

    Raises `NothingAnswered` where there are none.
    """
    units = result.requests * scale
    if not units:
        raise NothingAnswered(f"{proxy} answered nothing in scenario {scenario} within {result.seconds:g} s")
    return Sample(
        scenario=scenario,
        proxy=proxy,
        rate=units / result.seconds,
        cpu_us=spent / units * 1e6,
        p99_ms=result.p99 * 1e3,
        errors=result.errors,
        p50_ms=result.p50 * 1e3,
        memory=memory,
    )


def measure_idle(proxy: Proxy, count: int) -> IdleSample:
    """The memory that `count` idle connections cost `proxy`: the growth of its processes' PSS.

    A few connections come and go first, so that what a program allocates once is not charged to them.
    """
    rest = proxy.program.pss()
    warm_up(proxy.address)
    before = sum(map(pss_of, proxy.measured_pids))
    connections = IdleConnections()
    try:
        connections.open(proxy.address, count)
        grown = sum(map(pss_of, proxy.measured_pids)) - before
    finally:
        connections.close()
    return IdleSample(proxy.name, count, grown / count, rest)


def warm_up(address: Address) -> None:
    """Open, use and close a few connections."""
    connections = IdleConnections()
    try:
        connections.open(address, WARM_UP_CONNECTIONS)
    finally:
        connections.close()
