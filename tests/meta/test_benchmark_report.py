"""The benchmarks' arithmetic and its way into the documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.report import Machine, Results, cpu_ratio, text_report, write_docs
from benchmarks.report_l7 import L7Results, latency_rows
from benchmarks.running import until_answered
from benchmarks.scenarios import IdleSample, NothingAnswered, Sample
from benchmarks.scenarios_l7 import LatencySample

MACHINE = Machine(cpu="a CPU", kernel="6.1", python="3.11", versions={"haproxy": "2.6"})


def make_sample(proxy: str, cpu_us: float, rate: float = 1000.0) -> Sample:
    return Sample("small", proxy, rate, cpu_us, 1.0, 0)


def make_results(*samples: Sample) -> Results:
    idle = (IdleSample("meshproxy", 1000, 3000.0, 50_000_000),)
    return Results(MACHINE, 3.0, len(samples) // 2, ("envoy",), samples, idle, None)


def test_ratios_are_taken_within_a_round() -> None:
    """A machine that slows down in one round slows both: 10/20, 30/60 and 11/10 have the median 0.5."""
    ours = [make_sample("meshproxy", each) for each in (10, 30, 11)]
    theirs = [make_sample("haproxy", each) for each in (20, 60, 10)]
    assert cpu_ratio(make_results(*ours, *theirs), "small", "haproxy") == 0.5


def test_added_latency_is_what_a_proxy_adds_to_the_backends_own() -> None:
    """1.5 and 1.0 ms beside a backend that takes 0.5 ms add 1.0 and 0.5 ms: twice as much."""
    latency = tuple(
        LatencySample(
            proxy, p50_ms=p99 / 2, p99_ms=p99, direct_p50_ms=0.25, direct_p99_ms=0.5, late_ms=0.1, cpu_us=us, errors=0
        )
        for proxy, p99, us in (("meshproxy", 1.5, 60.0), ("haproxy", 1.0, 40.0))
    )
    results = L7Results(MACHINE, 3.0, 1, (), (), latency, {"meshproxy": 0, "haproxy": 0})
    rows = list(latency_rows(results))
    assert rows[2] == ("haproxy", "0.250 ms", "0.500 ms", "2.00", "40.0 µs", "1.50")


def test_the_report_names_what_is_missing() -> None:
    text = text_report(make_results(make_sample("meshproxy", 10), make_sample("haproxy", 20)))
    assert "left out: envoy" in text
    assert "3.0 kB" in text
    assert "0.50" in text


def test_a_measurement_without_an_answer_is_repeated_for_longer() -> None:
    tried: list[float] = []

    def measure(seconds: float) -> Sample:
        tried.append(seconds)
        if seconds < needed:
            raise NothingAnswered("silence")
        return make_sample("meshproxy", 10)

    needed = 3.0
    assert until_answered(measure, 1.0).cpu_us == 10
    needed = 100.0
    with pytest.raises(NothingAnswered):
        until_answered(measure, 1.0)
    assert tried == [1.0, 3.0, 1.0, 3.0, 9.0]


def test_documents_keep_what_is_around_the_results(tmp_path: Path) -> None:
    path = tmp_path / "benchmarks.md"
    path.write_text("before\n<!-- results: begin -->\nold\n<!-- results: end -->\nafter\n")
    write_docs(make_results(make_sample("meshproxy", 10), make_sample("haproxy", 20)), path)
    text = path.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| small | haproxy |" in text


def test_documents_without_markers_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "benchmarks.md"
    path.write_text("nothing here")
    with pytest.raises(ValueError, match="markers"):
        write_docs(make_results(make_sample("meshproxy", 10)), path)
    assert path.read_text() == "nothing here"
