"""L4 beside HAProxy, nginx and Envoy: ``python -m benchmarks.bench_l4 [--quick] [--write-docs]``.

Every proxy runs on one pinned core, in front of the same nginx; load and backend have the
other core. The proxies take turns in rounds, in changing order, so that what the machine does
meanwhile hits all of them alike; what is compared is the CPU time per unit of work, and each
ratio is taken within a round. Machine and noise differ: only the ratios travel.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.peers import Meshproxy, Proxy, capacity, peers
from benchmarks.reload import ReloadResult, measure_reload
from benchmarks.report import Results
from benchmarks.running import in_rounds, machine_of, make_parser, report_on, running
from benchmarks.scenarios import LOADS, WARM_UP_CONNECTIONS, IdleSample, measure, measure_idle

ALL = ("meshproxy", "haproxy", "nginx", "envoy")
SCENARIOS = (*(load.scenario for load in LOADS), "idle", "reload")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; the exit status."""
    parser = make_parser("meshproxy's L4 beside its peers", ALL, SCENARIOS)
    parser.add_argument("--connections", type=int, default=10_000, help="idle ones; 1,000 of them with --quick")
    parser.add_argument("--endpoints", type=int, default=10_000, help="that the reload changes")
    options = parser.parse_args(arguments)
    if options.quick:
        options.connections = 1000
    return report_on("l4", options, _run)


def _run(options: argparse.Namespace) -> Results:
    chosen, missing = peers(options.peers)
    loads = [load for load in LOADS if load.scenario in options.scenarios]
    with tempfile.TemporaryDirectory(prefix="meshproxy-bench-") as name:
        directory = Path(name)
        with running(directory, chosen) as (proxies, _):
            # Idle connections come first: what a load has freed would hold them without growing.
            idle = tuple(_idle(options, proxies))
            samples = tuple(
                in_rounds(
                    options,
                    loads,
                    lambda _: proxies,
                    lambda load, proxy, seconds: measure(load, proxy, directory, seconds),
                )
            )
            reload = _reload(options, proxies, directory)
    return Results(
        machine=machine_of(options.peers),
        seconds=options.seconds,
        rounds=options.rounds,
        missing=tuple(missing),
        samples=samples,
        idle=idle,
        reload=reload,
    )


def _idle(options: argparse.Namespace, proxies: Sequence[Proxy]) -> Iterator[IdleSample]:
    if "idle" not in options.scenarios:
        return
    count = min(options.connections, capacity() - WARM_UP_CONNECTIONS)
    if count < options.connections:
        print(f"the descriptor limit allows only {count} idle connections (ulimit -Hn)", file=sys.stderr)
    for proxy in proxies:
        yield measure_idle(proxy, count)


def _reload(options: argparse.Namespace, proxies: Sequence[Proxy], directory: Path) -> ReloadResult | None:
    ours = next((proxy for proxy in proxies if isinstance(proxy, Meshproxy)), None)
    if ours is None or "reload" not in options.scenarios:
        return None
    return measure_reload(ours, directory, options.endpoints, options.rounds, options.seconds)


if __name__ == "__main__":
    sys.exit(main())
