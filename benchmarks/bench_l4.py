"""L4 beside HAProxy, nginx and Envoy: ``python -m benchmarks.bench_l4 [--quick] [--write-docs]``.

Every proxy runs on one pinned core, in front of the same nginx; load and backend have the
other core. The proxies take turns in rounds, in changing order, so that what the machine does
meanwhile hits all of them alike; what is compared is the CPU time per unit of work, and each
ratio is taken within a round. Machine and noise differ: only the ratios travel.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.load import start_backend
from benchmarks.peers import MAX_CONNECTIONS, RESERVE, Address, Meshproxy, Peer, Proxy, capacity, find, peers
from benchmarks.processes import raise_descriptor_limit
from benchmarks.reload import ReloadResult, measure_reload
from benchmarks.report import Machine, Results, text_report, write_docs, write_json, write_plot
from benchmarks.scenarios import LOADS, WARM_UP_CONNECTIONS, IdleSample, Sample, measure, measure_idle

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parent.parent / "docs" / "benchmarks.md"
ALL = ("meshproxy", "haproxy", "nginx", "envoy")
SCENARIOS = (*(load.scenario for load in LOADS), "idle", "reload")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables, write JSON and plot; 1 if a request failed, 2 if it cannot be measured here."""
    options = _parse(arguments)
    if len(os.sched_getaffinity(0)) < 2:
        print("the benchmark needs two CPUs: one for the proxy, one for load and backend", file=sys.stderr)
        return 2
    raise_descriptor_limit(2 * MAX_CONNECTIONS + RESERVE)
    chosen, missing = peers(tuple(options.peers))
    try:
        results = _run(options, chosen, tuple(missing))
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 2
    print(text_report(results))
    _write(results, options)
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
        with _running(directory, chosen) as proxies:
            # Idle connections come first: what a load has freed would hold them without growing.
            idle = tuple(_idle(options, proxies))
            samples = tuple(_rounds(options, proxies, directory))
            reload = _reload(options, proxies, directory)
    return Results(
        machine=_machine(options.peers),
        seconds=options.seconds,
        rounds=options.rounds,
        missing=missing,
        samples=samples,
        idle=idle,
        reload=reload,
    )


@contextmanager
def _running(directory: Path, chosen: Sequence[Peer]) -> Iterator[list[Proxy]]:
    backend, address = start_backend(directory)
    programs = [backend]
    try:
        proxies = []
        for peer in chosen:
            proxies.append(_start(peer, directory, address))
            programs.append(proxies[-1].program)
        yield proxies
    finally:
        for program in reversed(programs):
            program.stop()


def _start(peer: Peer, directory: Path, backend: Address) -> Proxy:
    place = directory / peer.name
    place.mkdir()
    return peer.start(place, backend)


def _rounds(options: argparse.Namespace, proxies: Sequence[Proxy], directory: Path) -> Iterator[Sample]:
    for number in range(options.rounds):
        for load in LOADS:
            if load.scenario not in options.scenarios:
                continue
            first = number % len(proxies)
            for proxy in (*proxies[first:], *proxies[:first]):
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


def _machine(names: Sequence[str]) -> Machine:
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return Machine(
        cpu=models[0].partition(":")[2].strip() if models else platform.machine(),
        kernel=platform.release(),
        python=platform.python_version(),
        versions={name: version for name in names if (version := _version(name))},
    )


def _version(name: str) -> str:
    if name == "meshproxy":
        from meshproxy import __version__

        return __version__
    program = find(name.upper(), name)
    if program is None:
        return ""
    flag = "--version" if name == "envoy" else "-v"
    output = subprocess.run([program, flag], capture_output=True, text=True, check=False)
    words = (output.stdout + output.stderr).replace("/", " ").split()
    return next((word.partition("-")[0] for word in words if word[:1].isdigit() and "." in word), "")


def _write(results: Results, options: argparse.Namespace) -> None:
    options.results.mkdir(parents=True, exist_ok=True)
    write_json(results, options.results / "l4.json")
    try:
        write_plot(results, options.results / "l4.png")
    except ImportError:
        print("no plot: matplotlib is not installed (pip install 'meshproxy[bench]')", file=sys.stderr)
    if options.write_docs:
        write_docs(results, DOCS)
    print(f"written to {options.results}{', ' + str(DOCS) if options.write_docs else ''}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
