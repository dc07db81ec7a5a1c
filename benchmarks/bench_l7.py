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

from benchmarks.peers import Address, Proxy
from benchmarks.peers_l7 import ALL, peers
from benchmarks.report_l7 import L7Results
from benchmarks.running import add_baseline, in_rounds, in_turns, machine_of, make_parser, report_on, running
from benchmarks.same_features import check
from benchmarks.scenarios_l7 import LATENCY, LOADS, LatencySample, measure, measure_latency

SCENARIOS = (*(load.scenario for load in LOADS), LATENCY)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; the exit status."""
    parser = make_parser("meshproxy's HTTP beside its peers", ALL, SCENARIOS)
    add_baseline(parser)
    return report_on("l7", parser.parse_args(arguments), _run)


def _run(options: argparse.Namespace) -> L7Results:
    chosen, missing = peers(options.peers, options.baseline)
    loads = [load for load in LOADS if load.scenario in options.scenarios]
    with tempfile.TemporaryDirectory(prefix="meshproxy-bench-") as name:
        directory = Path(name)
        with running(directory, chosen) as (proxies, backends):
            for proxy in proxies:
                check(proxy)
            rest = {proxy.name: proxy.program.pss() for proxy in proxies}
            samples = tuple(
                in_rounds(
                    options,
                    loads,
                    lambda _: proxies,
                    lambda load, proxy, seconds: measure(load, proxy, directory, seconds),
                )
            )
            latency = tuple(_latency_rounds(options, proxies, backends[0], directory))
    return L7Results(
        machine=machine_of(options.peers),
        seconds=options.seconds,
        rounds=options.rounds,
        missing=tuple(missing),
        samples=samples,
        latency=latency,
        rest=rest,
    )


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
