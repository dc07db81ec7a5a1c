"""Requests at a rate that does not depend on the answers: ``python -m benchmarks.open_loop``, prints JSON.

A client that waits for an answer before it asks again asks less where answers are slow, and so hides what it should
measure. Here requests are due at times drawn beforehand (a Poisson process with a fixed seed: the same for everyone),
and the time of an answer counts from when its request was due, as wrk2 does it. `select` is used since it alone waits
for microseconds, which `epoll` rounds up to milliseconds.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from benchmarks.peers import LOAD_CPU, Address
from benchmarks.processes import Program

SEED = 1
WARM_UP = 0.1
"""The share of the requests that is not counted."""
PATIENCE = 10.0
"""Seconds without any answer after which it is given up."""


@dataclass(frozen=True)
class OpenLoopResult:
    """Latencies in seconds from when a request was due; `late` is the 99th percentile of how late it was sent."""

    requests: int
    p50: float
    p99: float
    late: float
    errors: int


def run_open_loop(directory: Path, address: Address, host: str, rate: int, seconds: float) -> OpenLoopResult:
    """Ask `address` in a process on the load's CPU."""
    module = "benchmarks.open_loop"
    where = (address[0], str(address[1]), host, str(rate), str(seconds))
    root = str(Path(__file__).parent.parent)
    program = Program("open-loop", [sys.executable, "-m", module, *where], directory, LOAD_CPU, {"PYTHONPATH": root})
    program.wait()
    text = program.log.read_text()
    try:
        return OpenLoopResult(**json.loads(text))
    except ValueError:
        raise RuntimeError(f"the open loop said: {text}") from None


class _Loop:
    """Connections, each with one request at a time; what is due while all are busy waits for the first answer."""

    def __init__(self, address: Address, host: str, connections: int) -> None:
        self._request = f"GET /r0/item HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bench\r\n\r\n".encode()
        self._free = [socket.create_connection(address, timeout=PATIENCE) for _ in range(connections)]
        self._busy: dict[socket.socket, float] = {}
        for each in self._free:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.latencies: list[float] = []
        self.lateness: list[float] = []
        self.errors = 0

    def run(self, offsets: Iterator[float]) -> None:
        """Ask at each of `offsets`, seconds from now, until all is answered."""
        start = time.perf_counter()
        waiting: deque[float] = deque()
        due = next(offsets, math.inf)
        while due < math.inf or waiting or self._busy:
            now = time.perf_counter() - start
            while due <= now:
                waiting.append(due)
                due = next(offsets, math.inf)
            while waiting and self._free:
                self._ask(waiting.popleft(), start)
            pause = PATIENCE if due == math.inf else max(0.0, start + due - time.perf_counter())
            readable, _, _ = select.select(self._busy, (), (), pause)
            if not readable and pause == PATIENCE:
                raise RuntimeError(f"{len(self._busy)} requests were not answered within {PATIENCE:g} s")
            for each in readable:
                self._answered(each, start)

    def _ask(self, due: float, start: float) -> None:
        connection = self._free.pop()
        self._busy[connection] = due
        self.lateness.append(time.perf_counter() - start - due)
        connection.sendall(self._request)

    def _answered(self, connection: socket.socket, start: float) -> None:
        answer = connection.recv(65536)
        self.latencies.append(time.perf_counter() - start - self._busy.pop(connection))
        if answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"world\n"):
            self._free.append(connection)
        else:
            self.errors += 1
            connection.close()
            if not self._free and not self._busy:
                raise RuntimeError(f"no connection is left; the last answer was {answer!r}")


def _arrivals(rate: float, seconds: float) -> Iterator[float]:
    """Times at which requests are due, a Poisson process."""
    random = Random(SEED)
    due = random.expovariate(rate)
    while due < seconds:
        yield due
        due += random.expovariate(rate)


def measure(address: Address, host: str, rate: int, seconds: float, connections: int) -> OpenLoopResult:
    """Ask, and say how long the answers took."""
    loop = _Loop(address, host, connections)
    gc.disable()
    loop.run(_arrivals(rate, seconds))
    first = int(WARM_UP * len(loop.latencies))
    latencies, lateness = sorted(loop.latencies[first:]), sorted(loop.lateness[first:])
    return OpenLoopResult(
        requests=len(latencies),
        p50=_percentile(latencies, 0.5),
        p99=_percentile(latencies, 0.99),
        late=_percentile(lateness, 0.99),
        errors=loop.errors,
    )


def _percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else math.nan


def main() -> None:
    parser = argparse.ArgumentParser(description="small requests in an open loop")
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("host", help="of the Host field")
    parser.add_argument("rate", type=int, help="requests a second")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--connections", type=int, default=64)
    options = parser.parse_args()
    where = (options.address, options.port)
    print(json.dumps(asdict(measure(where, options.host, options.rate, options.seconds, options.connections))))


if __name__ == "__main__":
    main()
