"""The benchmarks work: their numbers mean nothing here."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.scenarios_l7 import LOADS
from tests.integration.programs import output_of, require

ROOT = Path(__file__).parent.parent.parent


pytestmark = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="the benchmarks need two CPUs")


async def measured(which: str, tmp_path: Path, *options: str) -> Any:
    """What benchmark `which` measured of meshproxy in a hurry."""
    require("nginx", "wrk")
    await output_of(
        *("env", f"--chdir={ROOT}", sys.executable, "-m", "benchmarks", which, "--quick", "--peers", "meshproxy"),
        *("--results", str(tmp_path), *options),
    )
    return json.loads((tmp_path / f"{which}.json").read_text())


async def test_l4_measures_and_reports(tmp_path: Path) -> None:
    results = await measured("l4", tmp_path, "--endpoints", "200")
    assert [each["scenario"] for each in results["samples"]] == ["small", "bulk", "connections"]
    assert all(each["errors"] == 0 and each["cpu_us"] > 0 for each in results["samples"])
    assert results["idle"][0]["connections"] > 100
    assert results["reload"]["errors"] == 0


async def test_l7_measures_and_reports(tmp_path: Path) -> None:
    results = await measured("l7", tmp_path)
    assert {each["scenario"] for each in results["samples"]} == {load.scenario for load in LOADS}
    assert all(each["errors"] == 0 and each["cpu_us"] > 0 and each["memory"] > 0 for each in results["samples"])
    (latency,) = results["latency"]
    assert latency["errors"] == 0
    assert 0 < latency["direct_p50_ms"] <= latency["direct_p99_ms"]
    assert 0 < latency["p50_ms"] <= latency["p99_ms"]
    assert results["rest"]["meshproxy"] > 0


async def test_tls_measures_and_reports(tmp_path: Path) -> None:
    require("openssl")
    results = await measured("tls", tmp_path)
    assert [each["scenario"] for each in results["samples"]] == ["requests", "handshakes", "bulk"]
    assert all(each["errors"] == 0 and each["cpu_us"] > 0 for each in results["samples"])
