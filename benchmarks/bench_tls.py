"""TLS beside HAProxy and Envoy: ``python -m benchmarks.bench_tls [--quick] [--write-docs]``.

As in `bench_l4` every proxy has one pinned core, load (wrk) and backend (nginx) have the other one, the proxies take
turns in rounds, and ratios are taken within a round. Keep-alive requests go over mutual TLS with the client and with
the backend; full handshakes and bulk over TLS with the client alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from benchmarks.load import BULK_BYTES, wrk_result
from benchmarks.peers import LOAD_CPU, Address, Peer, Proxy, find
from benchmarks.peers_tls import ALL, NAME, make_keys, peers, start_backend, start_certifier
from benchmarks.processes import Program
from benchmarks.report import Row, Run, cpu_ratio, middle, rate_ratio
from benchmarks.running import in_rounds, machine_of, make_parser, report_on
from benchmarks.scenarios import Sample, make_sample


@dataclass(frozen=True)
class TLSLoad:
    """One kind of load; `mutual` is TLS with client certificates on both legs, `scale` how many units a request is."""

    scenario: str
    title: str
    units: str
    path: str
    connections: int
    mutual: bool = False
    keep_alive: bool = True
    scale: float = 1.0


LOADS = (
    TLSLoad("requests", "requests over mTLS, both legs", "requests", "/", 32, mutual=True),
    TLSLoad("handshakes", "full handshakes", "handshakes", "/", 16, keep_alive=False),
    TLSLoad("bulk", "bulk over TLS", "MB", "/bulk", 4, scale=BULK_BYTES / 1e6),
)


@dataclass(frozen=True)
class TLSResults(Run):
    """Everything that one run measured."""

    marker: ClassVar[str] = "results of tls"

    def tables(self) -> list[list[Row]]:
        return [list(load_rows(self))]

    def panels(self) -> list[tuple[str, str]]:
        return [(load.scenario, f"{load.title}: CPU µs") for load in LOADS]


def load_rows(results: TLSResults) -> Iterator[Row]:
    """One row for each kind of load and proxy."""
    yield ("load", "proxy", "per second", "CPU each", "our CPU / its CPU", "our rate / its rate")
    for load in LOADS:
        for proxy in results.proxies():
            samples = results.of(load.scenario, proxy)
            if samples:
                yield (
                    load.title,
                    proxy,
                    f"{middle(each.rate for each in samples):,.0f} {load.units}",
                    f"{middle(each.cpu_us for each in samples):.1f} µs",
                    f"{cpu_ratio(results, load.scenario, proxy):.2f}",
                    f"{rate_ratio(results, load.scenario, proxy):.2f}",
                )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; the exit status."""
    parser = make_parser("meshproxy's TLS beside its peers", ALL, [load.scenario for load in LOADS])
    return report_on("tls", parser.parse_args(arguments), _run)


class _Stage:
    """Keys, backends and proxies; `targets` has where wrk is to connect for a (proxy, with mutual TLS?)."""

    def __init__(
        self, options: argparse.Namespace, wanted: Sequence[TLSLoad], directory: Path, stack: ExitStack
    ) -> None:
        self.directory = directory
        self.keys = make_keys(directory)
        self.missing: list[str] = []
        self.proxies: dict[bool, list[Proxy]] = {}
        self.targets: dict[tuple[str, bool], str] = {}
        backend, secure, plain = start_backend(directory, self.keys)
        stack.callback(backend.stop)
        for mutual in sorted({load.mutual for load in wanted}):
            chosen, self.missing = peers(tuple(options.peers), self.keys, mutual=mutual)
            self.proxies[mutual] = [self._start(peer, secure if mutual else plain, mutual, stack) for peer in chosen]

    def _start(self, peer: Peer, backend: Address, mutual: bool, stack: ExitStack) -> Proxy:
        place = self.directory / f"{peer.name}-{mutual}"
        place.mkdir()
        proxy = peer.start(place, (backend,))
        stack.callback(proxy.program.stop)
        scheme, address = "https", proxy.address
        if mutual:
            certifier, address = start_certifier(place, self.keys, proxy.address)
            stack.callback(certifier.stop)
            scheme = "http"
        self.targets[proxy.name, mutual] = f"{scheme}://{address[0]}:{address[1]}"
        return proxy

    def measure(self, load: TLSLoad, proxy: Proxy, seconds: float) -> Sample:
        """Load `proxy` and divide the CPU time that it spent by the work that it did."""
        wrk = find("WRK", "wrk")
        assert wrk is not None
        command = [wrk, "-t1", f"-c{load.connections}", f"-d{max(1, round(seconds))}s", "--latency"]
        command += ["-H", f"Host: {NAME}", *(() if load.keep_alive else ("-H", "Connection: close"))]
        url = self.targets[proxy.name, load.mutual] + load.path
        before = proxy.program.cpu_seconds()
        program = Program("wrk", [*command, url], self.directory, LOAD_CPU, {"OPENSSL_CONF": str(self.keys.openssl)})
        program.wait()
        result = wrk_result(program)
        spent = proxy.program.cpu_seconds() - before
        return make_sample(load.scenario, proxy.name, result, spent, scale=load.scale)


def _run(options: argparse.Namespace) -> TLSResults:
    wanted = [load for load in LOADS if load.scenario in options.scenarios]
    with tempfile.TemporaryDirectory(prefix="meshproxy-bench-") as name, ExitStack() as stack:
        stage = _Stage(options, wanted, Path(name), stack)
        samples = tuple(
            in_rounds(
                options.rounds,
                wanted,
                lambda load: stage.proxies[load.mutual],
                lambda load, proxy: stage.measure(load, proxy, options.seconds),
            )
        )
    return TLSResults(
        machine=machine_of(options.peers),
        seconds=options.seconds,
        rounds=options.rounds,
        missing=tuple(stage.missing),
        samples=samples,
    )


if __name__ == "__main__":
    sys.exit(main())
