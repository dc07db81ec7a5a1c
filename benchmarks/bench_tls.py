"""TLS beside HAProxy and Envoy: ``python -m benchmarks.bench_tls [--quick] [--write-docs]``.

As in `bench_l4` every proxy has one pinned core, load (wrk) and backend (nginx) have the other one, the proxies take
turns in rounds, and ratios are taken within a round. Keep-alive requests go over mutual TLS with the client and with
the backend; full handshakes and bulk over TLS with the client alone.
"""

from __future__ import annotations

import argparse
import http.client
import re
import socket
import ssl
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from benchmarks.load import BULK_BYTES, start_wrk, wrk_result
from benchmarks.peers import Address, Peer, Proxy
from benchmarks.peers_tls import ALL, NAME, make_keys, peers, requests_of, start_backend, start_certifier
from benchmarks.report import Row, Run, cpu_ratio, middle, rate_ratio
from benchmarks.running import add_baseline, in_rounds, machine_of, make_parser, report_on
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
    add_baseline(parser)
    return report_on("tls", parser.parse_args(arguments), _run)


class _Client(http.client.HTTPSConnection):
    """Connects to an address, and asks for `NAME` there."""

    def __init__(self, address: Address, context: ssl.SSLContext) -> None:
        super().__init__(NAME, timeout=10)
        self._address = address
        self._tls = context

    def connect(self) -> None:
        self.sock = self._tls.wrap_socket(socket.create_connection(self._address, self.timeout), server_hostname=NAME)


class _Stage:
    """Keys, backends and proxies; a proxy's `address` is where wrk is to connect, with mutual TLS the certifier's."""

    def __init__(
        self, options: argparse.Namespace, wanted: Sequence[TLSLoad], directory: Path, stack: ExitStack
    ) -> None:
        self.directory = directory
        self.keys = make_keys(directory)
        self.missing: list[str] = []
        self.proxies: dict[bool, list[Proxy]] = {}
        backend, secure, self.plain = start_backend(directory, self.keys)
        stack.callback(backend.stop)
        for mutual in sorted({load.mutual for load in wanted}):
            chosen, self.missing = peers(options.peers, self.keys, options.baseline, mutual=mutual)
            place = secure if mutual else self.plain
            self.proxies[mutual] = [self._start(peer, place, mutual, stack) for peer in chosen]
            for proxy in self.proxies[mutual]:
                self.check(proxy, mutual=mutual)

    def _start(self, peer: Peer, backend: Address, mutual: bool, stack: ExitStack) -> Proxy:
        place = self.directory / f"{peer.name}-{mutual}"
        place.mkdir()
        proxy = peer.start(place, (backend,))
        stack.callback(proxy.program.stop)
        if not mutual:
            return proxy
        certifier, address = start_certifier(place, self.keys, proxy.address)
        stack.callback(certifier.stop)
        return replace(proxy, address=address)

    def check(self, proxy: Proxy, *, mutual: bool) -> None:
        """Raise `RuntimeError` where `proxy` tells the backend nothing of the client: it would be quick by that."""
        connection = (
            http.client.HTTPConnection(*proxy.address, timeout=10)
            if mutual
            else _Client(proxy.address, ssl.create_default_context(cafile=self.keys.ca))
        )
        with closing(connection):
            connection.request("GET", "/told", headers={"Host": NAME})
            got = connection.getresponse().read().decode().strip()
        if not re.fullmatch(rf"[0-9.]+ https {re.escape(NAME)}{' .*Hash=[0-9A-Fa-f]{64}.*' if mutual else ''}", got):
            raise RuntimeError(f"{proxy.name} tells the backend {got!r}")

    def measure(self, load: TLSLoad, proxy: Proxy, seconds: float) -> Sample:
        """Load `proxy` and divide the CPU time that it spent by the work that it did.

        Raises `RuntimeError` where wrk counts more answers than the backend had requests: they came twice.
        """
        headers = (f"Host: {NAME}", *(() if load.keep_alive else ("Connection: close",)))
        requests, before = requests_of(self.plain), proxy.program.cpu_seconds()
        program = start_wrk(
            self.directory, "wrk", proxy.address, load.path, load.connections, seconds, headers=headers,
            scheme="http" if load.mutual else "https", environment={"OPENSSL_CONF": str(self.keys.openssl)},
        )  # fmt: skip
        program.wait()
        result = wrk_result(program)
        spent = proxy.program.cpu_seconds() - before
        sent_on = requests_of(self.plain) - requests - 1
        if result.requests > sent_on:
            raise RuntimeError(f"{proxy.name} gave {result.requests} answers to {sent_on} requests: {load.scenario}")
        return make_sample(load.scenario, proxy.name, result, spent, scale=load.scale)


def _run(options: argparse.Namespace) -> TLSResults:
    wanted = [load for load in LOADS if load.scenario in options.scenarios]
    with tempfile.TemporaryDirectory(prefix="meshproxy-bench-") as name, ExitStack() as stack:
        stage = _Stage(options, wanted, Path(name), stack)
        samples = tuple(in_rounds(options, wanted, lambda load: stage.proxies[load.mutual], stage.measure))
    return TLSResults(
        machine=machine_of(options.peers),
        seconds=options.seconds,
        rounds=options.rounds,
        missing=tuple(stage.missing),
        samples=samples,
    )


if __name__ == "__main__":
    sys.exit(main())
