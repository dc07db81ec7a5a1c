"""HTTP beside HAProxy, nginx, Envoy and Traefik: ``python -m benchmarks.bench_l7 [--quick] [--write-docs]``.

As in `bench_l4` every proxy has one pinned core, load and backends have the other one, the proxies take turns in
rounds, and ratios are taken within a round. ``--baseline DIR`` measures the meshproxy of another checkout as well, be
it the previous commit or the same one compiled.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.peers import Address, Peer, Proxy
from benchmarks.peers_l7 import ALL, peers
from benchmarks.report import text_report, write
from benchmarks.report_l7 import L7Results
from benchmarks.running import can_measure, in_turns, machine_of, running
from benchmarks.same_features import check
from benchmarks.scenarios import Sample
from benchmarks.scenarios_l7 import LATENCY, LOADS, LatencySample, measure, measure_latency

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parent.parent / "docs" / "benchmarks.md"
SCENARIOS = (*(load.scenario for load in LOADS), LATENCY)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables, write JSON and plot; 1 if a request failed, 2 if it cannot be measured here."""
    options = _parse(arguments)
    if not can_measure():
        return 2
    chosen, missing = peers(tuple(options.peers), options.baseline)
    try:
        results = _run(options, chosen, tuple(missing))
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 2
    print(text_report(results))
    write(results, options.results, "l7", DOCS if options.write_docs else None)
    return 1 if any(each.errors for each in results.samples) or any(each.errors for each in results.latency) else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="meshproxy's HTTP beside its peers")
    parser.add_argument("--quick", action="store_true", help="one short round: does it work?")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--peers", nargs="+", choices=ALL, default=ALL)
    parser.add_argument("--baseline", type=Path, metavar="DIR", help="another checkout, measured as well")
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=SCENARIOS)
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="where JSON and plot go")
    parser.add_argument("--write-docs", action="store_true", help="put the tables into docs/benchmarks.md")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.seconds = 1, 1.0
    return options


def _run(options: argparse.Namespace, chosen: Sequence[Peer], missing: tuple[str, ...]) -> L7Results:
    with tempfile.TemporaryDirectory(prefix="meshproxy-bench-") as name:
        directory = Path(name)
        with running(directory, chosen) as (proxies, backends):
            for proxy in proxies:
                check(proxy)
            rest = {proxy.name: proxy.program.pss() for proxy in proxies}
            samples = tuple(_rounds(options, proxies, directory))
            latency = tuple(_latency_rounds(options, proxies, backends[0], directory))
    return L7Results(
        machine=machine_of(options.peers),
        seconds=options.seconds,
        rounds=options.rounds,
        missing=missing,
        samples=samples,
        latency=latency,
        rest=rest,
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


def _latency_rounds(
    options: argparse.Namespace, proxies: Sequence[Proxy], backend: Address, directory: Path
) -> Iterator[LatencySample]:
    if LATENCY not in options.scenarios:
        return
    for number in range(options.rounds):
        for sample in measure_latency(in_turns(proxies, number), backend, directory, options.seconds):
            print(f"round {number + 1}: latency {sample.proxy}: p99 +{sample.added_p99_ms:.3f} ms", file=sys.stderr)
            yield sample


if __name__ == "__main__":
    sys.exit(main())
