"""The unit files of the VM's example: systemd reads them, and they run what there is."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.meta.project import ROOT, relative

UNITS = sorted((ROOT / "examples" / "vm-systemd").glob("*.service"))
INSTALLED = "/usr/local/bin/meshproxy"


@pytest.mark.parametrize("unit", UNITS, ids=relative)
def test_systemd_finds_nothing_wrong(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze; on Debian: apt-get install systemd")
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace(INSTALLED, sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=relative)
def test_it_needs_no_other_program_than_a_shell(unit: Path) -> None:
    """`kill`, for one, is not everywhere."""
    programs = set(re.findall(r"(?<=[=' ])(?:/\w+)*/bin/[\w-]+", unit.read_text()))
    assert {INSTALLED} <= programs <= {INSTALLED, "/bin/sh"}


@pytest.mark.parametrize("unit", UNITS, ids=relative)
def test_it_has_started_when_it_says_so(unit: Path) -> None:
    """`tests/unit/aio/test_service_manager.py` and `test_life_cycle.py` show that it does."""
    assert "Type=notify\n" in unit.read_text()


@pytest.mark.parametrize("unit", UNITS, ids=relative)
def test_its_commands_are_meshproxys(unit: Path) -> None:
    commands = re.findall(rf"{INSTALLED} ([a-z]+(?: [a-z]+)?)(.*)", unit.read_text())
    assert commands
    for command, rest in commands:
        asked = [sys.executable, "-m", "meshproxy", *command.split(), "--help"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        assert done.returncode == 0, command
        options = re.findall(r"(--[a-z-]+)", rest)
        assert [option for option in options if option not in done.stdout] == []
