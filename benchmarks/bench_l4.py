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

from benchmarks.peers import Meshproxy, Peer, Proxy, capacity, peers
from benchmarks.reload import ReloadResult, measure_reload
from benchmarks.report import Results, text_report, write
from benchmarks.running import can_measure, in_turns, machine_of, running
from benchmarks.scenarios import LOADS, WARM_UP_CONNECTIONS, IdleSample, Sample, measure, measure_idle

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parent.parent / "docs" / "benchmarks.md"
ALL = ("meshproxy", "haproxy", "nginx", "envoy")
SCENARIOS = (*(load.scenario for load in LOADS), "idle", "reload")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables, write JSON and plot; 1 if a request failed, 2 if it cannot be measured here."""
    options = _parse(arguments)
    if not can_measure():
        return 2
    chosen, missing = peers(tuple(options.peers))
    try:
        results = _run(options, chosen, tuple(missing))
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 2
    print(text_report(results))
    write(results, options.results, "l4", DOCS if options.write_docs else None)
    return 1 if any(each.errors for each in results.samples) else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="meshproxy's L4 beside its peers")
    parser.add_argument("--quick", action="store_true", help="one short round and fewer connections: does it work?")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--connections", type=int, default=10_000, help="idle ones")
    parser.add_argument("--endpoints", type=int, default=10_000, help="that the reload changes")
    parser.add_argument("--peers", nargs="+", choices=ALL, default=ALL)
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=SCENARIOS)
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="where JSON and plot go")
    parser.add_argument("--write-docs", action="store_true", help="put the tables into docs/benchmarks.md")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.seconds, options.connections = 1, 1.0, 1000
    return options


def _run(options: argparse.Namespace, chosen: Sequence[Peer], missing: tuple[str, ...]) -> Results:
    with tempfile.TemporaryDirectory(prefix="meshproxy-bench-") as name:
        directory = Path(name)
        with running(directory, chosen) as (proxies, _):
            # Idle connections come first: what a load has freed would hold them without growing.
            idle = tuple(_idle(options, proxies))
            samples = tuple(_rounds(options, proxies, directory))
            reload = _reload(options, proxies, directory)
    return Results(
        machine=machine_of(options.peers),
        seconds=options.seconds,
        rounds=options.rounds,
        missing=missing,
        samples=samples,
        idle=idle,
        reload=reload,
    )


def _rounds(options: argparse.Namespace, proxies: Sequence[Proxy], directory: Path) -> Iterator[Sample]:
    for number in range(options.rounds):
        for load in LOADS:
            if load.scenario not in options.scenarios:
                continue
            for proxy in in_turns(proxies, number):
                sample = measure(load, proxy, directory, options.seconds)
                print(f"round {number + 1}: {load.scenario} {proxy.name}: {sample.cpu_us:.1f} µs", file=sys.stderr)
                yield sample


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
