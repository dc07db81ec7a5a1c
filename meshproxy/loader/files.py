"""Paths → texts. The one place of the loader that reads files."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from meshproxy.base.errors import Finding, Severity
from meshproxy.loader.decoding import MAX_BYTES
from meshproxy.loader.load import SourceText

SUFFIXES = frozenset({".yaml", ".yml", ".json"})


def read_paths(paths: Iterable[Path]) -> tuple[list[SourceText], list[Finding]]:
    """Read files, and the manifests in directories (not in theirs), each once.

    What cannot be read is a finding; a directory without manifests is a warning.
    """
    texts: list[SourceText] = []
    findings: list[Finding] = []
    seen: set[Path] = set()
    for path in paths:
        for file in _files(path, findings):
            if file not in seen:
                seen.add(file)
                _read(file, texts, findings)
    return texts, findings


def _files(path: Path, findings: list[Finding]) -> Iterator[Path]:
    try:
        if not path.is_dir():
            yield path
            return
        entries = sorted(entry for entry in path.iterdir() if is_manifest(entry))
    except OSError as error:
        findings.append(Finding(file=str(path), message=f"cannot be read: {error.strerror}"))
        return
    if not entries:
        message = f"the directory holds no {', '.join(sorted(SUFFIXES))} file"
        findings.append(Finding(severity=Severity.WARNING, file=str(path), message=message))
    yield from entries


def is_manifest(path: Path) -> bool:
    """Whether a file of a directory is read: by its ending, and not hidden (editors' and mounts' own files)."""
    return path.suffix in SUFFIXES and not path.name.startswith(".") and not path.is_dir()


def _read(file: Path, texts: list[SourceText], findings: list[Finding]) -> None:
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            findings.append(Finding(file=str(file), message="is not a regular file"))
            return
        with file.open("rb") as opened:
            texts.append(SourceText(str(file), opened.read(MAX_BYTES + 1)))
    except OSError as error:
        findings.append(Finding(file=str(file), message=f"cannot be read: {error.strerror}"))
