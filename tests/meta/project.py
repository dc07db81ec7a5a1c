"""The project's own files, for tests of house rules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
_SHELL_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def python_files() -> list[Path]:
    """Every module of the package, the tests and the benchmarks."""
    folders = ("meshproxy", "tests", "benchmarks")
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def markdown_files() -> list[Path]:
    """README, docs and examples."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])


def shell_commands(path: Path) -> Iterator[str]:
    """The lines of a document's ```sh blocks, comments and continuations resolved."""
    for block in _SHELL_BLOCK.findall(path.read_text()):
        for line in block.replace("\\\n", " ").splitlines():
            command = line.partition(" #")[0].strip()
            if command and not command.startswith("#"):
                yield command


def relative(path: Path) -> str:
    """How a test names a file."""
    return str(path.relative_to(ROOT))
