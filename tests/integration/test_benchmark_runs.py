"""The benchmark works: its numbers mean nothing here."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.integration.programs import output_of, require

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="the benchmark needs two CPUs")
async def test_the_benchmark_measures_and_reports(tmp_path: Path) -> None:
    require("nginx", "wrk")
    await output_of(
        *("env", f"--chdir={ROOT}", sys.executable, "-m", "benchmarks.bench_l4", "--quick", "--peers", "meshproxy"),
        *("--endpoints", "200", "--results", str(tmp_path)),
    )
    results = json.loads((tmp_path / "l4.json").read_text())
    assert [each["scenario"] for each in results["samples"]] == ["small", "bulk", "connections"]
    assert all(each["errors"] == 0 and each["cpu_us"] > 0 for each in results["samples"])
    assert results["idle"][0]["connections"] > 100
    assert results["reload"]["errors"] == 0
