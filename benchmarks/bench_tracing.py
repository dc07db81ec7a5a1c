"""What tracing costs: ``python -m benchmarks.bench_tracing [--starts N] [--rounds N] [--seconds S]``.

The same proxy, which sends metrics in any case, without tracing, with 1 % and with all of the requests recorded, in
turns: the CPU time of its worker for a small request, and its requests a second. The worker shares its core with a
program that counts on and on, so that it is busy whenever it runs; the collector, the load and the supervisor have the
other core, and time to spare. One process can be slower than another for all of its life, by more than tracing costs:
so they are started anew several times.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks import peers_l7
from benchmarks.peers import LOAD_CPU, PROXY_CPU, Address, Peer, Proxy
from benchmarks.processes import Program, cpu_seconds, free_port
from benchmarks.report import middle
from benchmarks.running import can_measure, in_turns, running
from benchmarks.same_features import check
from benchmarks.scenarios_l7 import LOADS, measure

SHARES = {"off": None, "1 %": 1, "100 %": 100}
_TELEMETRY = """\
  telemetry:
    otlp: {{endpoint: "http://127.0.0.1:{port}"}}
"""
_TRACING = "    tracing: {{samplePercent: {share}}}\n"
_COLLECTOR = """\
from aiohttp import web
async def take(request):
    await request.read()
    return web.Response()
app = web.Application()
app.router.add_post("/v1/traces", take)
web.run_app(app, host="127.0.0.1", port={port}, access_log=None, print=None)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the medians of the ratios within a round."""
    parser = argparse.ArgumentParser(description="what tracing costs")
    parser.add_argument("--starts", type=int, default=6, help="of the proxies, each with as many rounds")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    options = parser.parse_args(arguments)
    if not can_measure():
        return 2
    with tempfile.TemporaryDirectory(prefix="meshproxy-bench-") as name:
        directory = Path(name)
        port = free_port()
        rival = Program("rival", [sys.executable, "-c", "while True: pass"], directory, PROXY_CPU)
        collector = Program("collector", [sys.executable, "-c", _COLLECTOR.format(port=port)], directory, LOAD_CPU, {})
        try:
            collector.wait_for_port(("127.0.0.1", port))
            chosen = [Peer(name, partial(_start, share=share, port=port)) for name, share in SHARES.items()]
            rounds = []
            for start in range(options.starts):
                place = directory / str(start)
                place.mkdir()
                with running(place, chosen) as (proxies, _):
                    for proxy in proxies:
                        check(proxy)
                    numbers = range(start, start + options.rounds)
                    rounds += [dict(_round(proxies, number, place, options.seconds)) for number in numbers]
        finally:
            collector.stop()
            rival.stop()
    for name in SHARES:
        cpu = middle(each[name][0] for each in rounds)
        cpu_ratio, rate_ratio = (middle(each[name][i] / each["off"][i] for each in rounds) for i in (0, 1))
        print(f"{name:>6}  {cpu:6.1f} µs of CPU a request, {cpu_ratio:.3f} times; {rate_ratio:.3f} times the requests")
    return 0


def _start(directory: Path, backends: Sequence[Address], share: int | None, port: int) -> Proxy:
    tracing = _TRACING.format(share=share) if share is not None else ""
    telemetry = _TELEMETRY.format(port=port) + tracing
    return peers_l7.start_meshproxy(directory, backends, spec=telemetry)


def _round(
    proxies: Sequence[Proxy], number: int, directory: Path, seconds: float
) -> Iterator[tuple[str, tuple[float, float]]]:
    """(µs of CPU a request, requests a second) by share."""
    names = dict(zip((id(proxy) for proxy in proxies), SHARES, strict=True))
    small = LOADS[0]
    for proxy in in_turns(proxies, number):
        before = _worker_seconds(proxy)
        sample = measure(small, proxy, directory, seconds)
        cpu_us = (_worker_seconds(proxy) - before) / (sample.rate * max(1, round(seconds))) * 1e6
        print(f"round {number + 1}: {names[id(proxy)]}: {cpu_us:.1f} µs, {sample.rate:.0f}/s", file=sys.stderr)
        yield names[id(proxy)], (cpu_us, sample.rate)


def _worker_seconds(proxy: Proxy) -> float:
    return sum(map(cpu_seconds, proxy.measured_pids))


if __name__ == "__main__":
    sys.exit(main())
