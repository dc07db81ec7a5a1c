"""Medians, ratios to each peer, and their table, JSON, plot and Markdown."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import ClassVar

from benchmarks.reload import ReloadResult
from benchmarks.scenarios import LOADS, IdleSample, Sample

OURS = "meshproxy"
Row = tuple[str, ...]


@dataclass(frozen=True)
class Machine:
    """Where it was measured."""

    cpu: str
    kernel: str
    python: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Run:
    """What one run of a benchmark measured, and where."""

    marker: ClassVar[str]
    """What marks the place of its tables in the documents."""

    machine: Machine
    seconds: float
    rounds: int
    missing: tuple[str, ...]
    samples: tuple[Sample, ...]

    def failed(self) -> bool:
        """Whether any request failed."""
        return any(each.errors for each in self.samples)

    def proxies(self) -> tuple[str, ...]:
        """Who was measured, in the order in which they first appear."""
        return tuple(dict.fromkeys(each.proxy for each in self.samples))

    def of(self, scenario: str, proxy: str) -> tuple[Sample, ...]:
        """One proxy's samples of one scenario."""
        return tuple(each for each in self.samples if (each.scenario, each.proxy) == (scenario, proxy))

    def tables(self) -> list[list[Row]]:
        """What there is to say, a head and rows each."""
        raise NotImplementedError

    def panels(self) -> list[tuple[str, str]]:
        """The plot's panels: (scenario, title)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Results(Run):
    """Everything that one run of the L4 benchmark measured."""

    marker = "results"

    idle: tuple[IdleSample, ...]
    reload: ReloadResult | None

    def proxies(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*super().proxies(), *(each.proxy for each in self.idle))))

    def tables(self) -> list[list[Row]]:
        every = (list(load_rows(self)), list(idle_rows(self)), list(reload_rows(self)))
        return [rows for rows in every if len(rows) > 1]

    def panels(self) -> list[tuple[str, str]]:
        return [(load.scenario, f"CPU per {load.unit}, µs") for load in LOADS]


def middle(values: Iterable[float]) -> float:
    """The median, NaN of nothing."""
    known = list(values)
    return median(known) if known else float("nan")


def cpu_ratio(results: Run, scenario: str, peer: str) -> float:
    """The median over the rounds of our CPU per unit divided by the peer's in the same round."""
    pairs = zip(results.of(scenario, OURS), results.of(scenario, peer), strict=False)
    return middle(ours.cpu_us / theirs.cpu_us for ours, theirs in pairs if theirs.cpu_us)


def rate_ratio(results: Run, scenario: str, peer: str) -> float:
    """The same of the units a second."""
    pairs = zip(results.of(scenario, OURS), results.of(scenario, peer), strict=False)
    return middle(ours.rate / theirs.rate for ours, theirs in pairs if theirs.rate)


def load_rows(results: Results) -> Iterator[Row]:
    """One row for each scenario and proxy."""
    yield ("scenario", "proxy", "per second", "CPU each", "p99", "our CPU / its CPU", "our rate / its rate")
    for load in LOADS:
        for proxy in results.proxies():
            samples = results.of(load.scenario, proxy)
            if not samples:
                continue
            yield (
                load.scenario,
                proxy,
                f"{middle(each.rate for each in samples):,.0f} {load.units}",
                f"{middle(each.cpu_us for each in samples):.1f} µs",
                f"{middle(each.p99_ms for each in samples):.2f} ms",
                f"{cpu_ratio(results, load.scenario, proxy):.2f}",
                f"{rate_ratio(results, load.scenario, proxy):.2f}",
            )


def idle_rows(results: Results) -> Iterator[Row]:
    """One row for each proxy's memory."""
    yield ("proxy", "idle connections", "memory each", "at rest")
    for each in results.idle:
        yield (
            each.proxy,
            f"{each.connections:,}",
            f"{each.bytes_each / 1e3:.1f} kB",
            f"{each.rest_bytes / 1e6:.1f} MB",
        )


def reload_rows(results: Results) -> Iterator[Row]:
    """One row for the reload; nothing when it was not measured."""
    if results.reload is None:
        return
    one = results.reload
    yield ("endpoints", "reloads", "file to ACK", "p99 before", "p99 during", "failed")
    yield (
        f"{one.endpoints:,}",
        str(len(one.ack_seconds)),
        f"{middle(one.ack_seconds):.2f} s",
        f"{one.p99_before_ms:.2f} ms",
        f"{one.p99_during_ms:.2f} ms",
        str(one.errors),
    )


def text_table(rows: Sequence[Row]) -> str:
    """Columns aligned for a terminal."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def markdown_table(rows: Sequence[Row]) -> str:
    """The same as GitHub reads it."""
    head, *body = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *body))


def text_report(results: Run) -> str:
    """What the benchmark prints."""
    parts = [text_table(rows) for rows in results.tables()]
    if results.missing:
        parts.append(f"not installed, left out: {', '.join(results.missing)}")
    return "\n\n".join(parts)


def write(results: Run, directory: Path, name: str, docs: Path | None) -> None:
    """JSON and a plot of this name go into `directory`, the tables into `docs`."""
    directory.mkdir(parents=True, exist_ok=True)
    write_json(results, directory / f"{name}.json")
    try:
        write_plot(results, directory / f"{name}.png")
    except ImportError:
        print("no plot: matplotlib is not installed (pip install 'meshproxy[bench]')", file=sys.stderr)
    if docs is not None:
        write_docs(results, docs)
    print(f"written to {directory}{f', {docs}' if docs else ''}", file=sys.stderr)


def write_json(results: Run, path: Path) -> None:
    """Every sample, for later comparison."""
    path.write_text(json.dumps(asdict(results), indent=1) + "\n")


def write_plot(results: Run, path: Path) -> None:
    """Bars of CPU per unit, one panel a scenario."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    panels = [(scenario, title) for scenario, title in results.panels() if results.of(scenario, OURS)]
    figure, axes = plt.subplots(1, max(1, len(panels)), figsize=(4 * max(1, len(panels)), 3.2), squeeze=False)
    for axis, (scenario, title) in zip(axes[0], panels, strict=False):
        names = [proxy for proxy in results.proxies() if results.of(scenario, proxy)]
        values = [middle(each.cpu_us for each in results.of(scenario, name)) for name in names]
        axis.bar(names, values, color=["tab:green" if name == OURS else "tab:gray" for name in names])
        axis.set_title(title)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def write_docs(results: Run, path: Path) -> None:
    """Replace what stands between the run's two markers in `path`; raises `ValueError` where they are missing."""
    first, last = f"<!-- {results.marker}: begin -->", f"<!-- {results.marker}: end -->"
    text = path.read_text()
    head, begin, rest = text.partition(first)
    _, end, tail = rest.partition(last)
    if not begin or not end:
        raise ValueError(f"{path} lacks the markers {first} and {last}")
    path.write_text(f"{head}{first}\n\n{_markdown_report(results)}\n\n{last}{tail}")


def _markdown_report(results: Run) -> str:
    machine = results.machine
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    parts = [
        f"{machine.cpu}, Linux {machine.kernel}, Python {machine.python}; {versions}. Medians of {results.rounds} "
        f"rounds of {results.seconds:g} s.",
        *(markdown_table(rows) for rows in results.tables()),
    ]
    if results.missing:
        parts.append(f"Not installed where this was measured: {', '.join(results.missing)}.")
    return "\n\n".join(parts)
