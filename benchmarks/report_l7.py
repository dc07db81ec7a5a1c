"""The L7 benchmark's tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.report import OURS, Row, Run, cpu_ratio, middle, rate_ratio
from benchmarks.scenarios_l7 import LOADS, RATE, LatencySample


@dataclass(frozen=True)
class L7Results(Run):
    """Everything that one run of the L7 benchmark measured; `rest` is each proxy's memory before any load, bytes."""

    marker = "results of l7"

    latency: tuple[LatencySample, ...]
    rest: Mapping[str, int]

    def failed(self) -> bool:
        return super().failed() or any(each.errors for each in self.latency)

    def proxies(self) -> tuple[str, ...]:
        return tuple(self.rest)

    def tables(self) -> list[list[Row]]:
        every = (list(load_rows(self)), list(latency_rows(self)), list(memory_rows(self)))
        return [rows for rows in every if len(rows) > 1]

    def panels(self) -> list[tuple[str, str]]:
        return [(load.scenario, f"{load.title}: CPU µs") for load in LOADS]

    def latency_of(self, proxy: str) -> tuple[LatencySample, ...]:
        """One proxy's samples of the open loop."""
        return tuple(each for each in self.latency if each.proxy == proxy)


def load_rows(results: L7Results) -> Iterator[Row]:
    """One row for each kind of request and proxy."""
    yield (
        "requests", "proxy", "per second", "CPU each", "p50", "p99", "our CPU / its CPU", "our rate / its rate",
    )  # fmt: skip
    for load in LOADS:
        for proxy in results.proxies():
            samples = results.of(load.scenario, proxy)
            if samples:
                yield (
                    load.title,
                    proxy,
                    f"{middle(each.rate for each in samples):,.0f}",
                    f"{middle(each.cpu_us for each in samples):.1f} µs",
                    f"{middle(each.p50_ms for each in samples):.2f} ms",
                    f"{middle(each.p99_ms for each in samples):.2f} ms",
                    f"{cpu_ratio(results, load.scenario, proxy):.2f}",
                    f"{rate_ratio(results, load.scenario, proxy):.2f}",
                )


def latency_rows(results: L7Results) -> Iterator[Row]:
    """One row for each proxy in the open loop."""
    yield (f"at {RATE:,} a second", "p50 added", "p99 added", "our p99 / its p99", "CPU each", "our CPU / its CPU")
    for proxy in results.proxies():
        samples = results.latency_of(proxy)
        if samples:
            pairs = list(zip(results.latency_of(OURS), samples, strict=False))
            yield (
                proxy,
                f"{middle(each.added_p50_ms for each in samples):.3f} ms",
                f"{middle(each.added_p99_ms for each in samples):.3f} ms",
                f"{middle(ours.added_p99_ms / its.added_p99_ms for ours, its in pairs if its.added_p99_ms > 0):.2f}",
                f"{middle(each.cpu_us for each in samples):.1f} µs",
                f"{middle(ours.cpu_us / its.cpu_us for ours, its in pairs if its.cpu_us):.2f}",
            )


def memory_rows(results: L7Results) -> Iterator[Row]:
    """One row for each proxy: at rest, and the most that was seen in each scenario."""
    measured = [load for load in LOADS if any(each.scenario == load.scenario for each in results.samples)]
    yield ("memory", "at rest", *(load.title for load in measured))
    for proxy, rest in results.rest.items():
        most = (max((each.memory for each in results.of(load.scenario, proxy)), default=0) for load in measured)
        yield (proxy, *(f"{each / 1e6:.1f} MB" for each in (rest, *most)))
