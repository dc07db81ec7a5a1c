"""Every example is valid, without as much as a warning, and explained in a few lines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.meta.project import ROOT

EXAMPLES = sorted(path for path in (ROOT / "examples").iterdir() if path.is_dir())
README_LINES = 20


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_valid(example: Path) -> None:
    command = [sys.executable, "-m", "meshproxy", "validate", str(example)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "warning: " not in done.stdout


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_explained(example: Path) -> None:
    text = (example / "README.md").read_text()
    assert len(text.splitlines()) <= README_LINES
    assert f"meshproxy run -c examples/{example.name}" in text
