"""What every benchmark does around its scenarios: options, proxies in turns, the report and where it was measured."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from benchmarks.load import start_backend
from benchmarks.peers import MAX_CONNECTIONS, RESERVE, Address, Peer, Proxy, find
from benchmarks.processes import raise_descriptor_limit
from benchmarks.report import Machine, Run, text_report, write
from benchmarks.scenarios import NothingAnswered, Sample

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parent.parent / "docs" / "benchmarks.md"
LONGER = (1, 3, 9)
"""How many times as long a measurement is when those before had no answer."""
L = TypeVar("L")


def make_parser(description: str, peers: Sequence[str], scenarios: Sequence[str]) -> argparse.ArgumentParser:
    """The options that all of them have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="one short round: does it work?")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--peers", nargs="+", choices=peers, default=peers)
    parser.add_argument("--scenarios", nargs="+", choices=scenarios, default=scenarios)
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="where JSON and plot go")
    parser.add_argument("--write-docs", action="store_true", help="put the tables into docs/benchmarks.md")
    return parser


def add_baseline(parser: argparse.ArgumentParser) -> None:
    """An option that some of them have: `options.baseline`."""
    parser.add_argument("--baseline", type=Path, metavar="DIR", help="another checkout, measured as well")


def report_on(name: str, options: argparse.Namespace, run: Callable[[argparse.Namespace], Run]) -> int:
    """Measure, print the tables, write JSON and plot; 1 if a request failed, 2 if it cannot be measured here."""
    if options.quick:
        options.rounds, options.seconds = 1, 1.0
    if not can_measure():
        return 2
    try:
        results = run(options)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 2
    print(text_report(results))
    write(results, options.results, name, DOCS if options.write_docs else None)
    return 1 if results.failed() else 0


def can_measure() -> bool:
    """Say so where the machine is too small; raise the limit of open files where it is not."""
    if len(os.sched_getaffinity(0)) < 2:
        print("the benchmark needs two CPUs: one for the proxy, one for load and backend", file=sys.stderr)
        return False
    raise_descriptor_limit(2 * MAX_CONNECTIONS + RESERVE)
    return True


@contextmanager
def running(directory: Path, chosen: Sequence[Peer]) -> Iterator[tuple[list[Proxy], tuple[Address, ...]]]:
    """The proxies, and the backends behind them."""
    backend, addresses = start_backend(directory)
    programs = [backend]
    try:
        proxies = []
        for peer in chosen:
            place = directory / peer.name
            place.mkdir()
            proxies.append(peer.start(place, addresses))
            programs.append(proxies[-1].program)
        yield proxies, addresses
    finally:
        for program in reversed(programs):
            program.stop()


def in_turns(proxies: Sequence[Proxy], number: int) -> tuple[Proxy, ...]:
    """The proxies in the order of round `number`: each round begins with another one."""
    first = number % len(proxies)
    return (*proxies[first:], *proxies[:first])


def in_rounds(
    options: argparse.Namespace,
    loads: Sequence[L],
    proxies: Callable[[L], Sequence[Proxy]],
    measure: Callable[[L, Proxy, float], Sample],
) -> Iterator[Sample]:
    """Every one of `loads` on each of its `proxies` in every round; `measure` takes its seconds as well."""
    for number in range(options.rounds):
        for load in loads:
            for proxy in in_turns(proxies(load), number):
                sample = until_answered(partial(measure, load, proxy), options.seconds)
                print(f"round {number + 1}: {sample.scenario} {proxy.name}: {sample.cpu_us:.1f} µs", file=sys.stderr)
                yield sample


def until_answered(measure: Callable[[float], Sample], seconds: float) -> Sample:
    """Measure for `seconds`, and for longer where that is too short for any answer: the machine may be busy."""
    for times in LONGER:
        try:
            return measure(times * seconds)
        except NothingAnswered as error:
            print(error, file=sys.stderr)
            silence = error
    raise silence


def machine_of(names: Sequence[str]) -> Machine:
    """This machine, and the versions of the programs of these names."""
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
        from meshproxy.base.build import describe_build

        return f"{__version__} ({describe_build()})"
    program = find(name.upper(), name)
    if program is None:
        return ""
    flag = {"envoy": "--version", "traefik": "version"}.get(name, "-v")
    output = subprocess.run([program, flag], capture_output=True, text=True, check=False)
    words = (output.stdout + output.stderr).replace("/", " ").split()
    return next((word.partition("-")[0] for word in words if word[:1].isdigit() and "." in word), "")
