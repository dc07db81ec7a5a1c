"""Manifests as `run` would read them, for the commands that work on files."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from meshproxy.base.errors import Finding, errors_in
from meshproxy.compiler.compile import compile_resources
from meshproxy.loader.files import read_paths
from meshproxy.loader.load import SourceText, load
from meshproxy.loader.places import attach
from meshproxy.resources import Proxy
from meshproxy.snapshot.model import Snapshot


class Manifests(NamedTuple):
    """How many texts and resources there are, everything found, and what they compile to if nothing is an error.

    `proxy` is the Proxy document, where there is one.
    """

    texts: int
    resources: int
    findings: tuple[Finding, ...]
    snapshot: Snapshot | None
    proxy: Proxy | None = None


def read_manifests(paths: Iterable[str]) -> Manifests:
    """Load and compile files and directories; ``-`` is standard input."""
    paths = tuple(paths)
    texts, unreadable = read_paths([Path(path) for path in paths if path != "-"])
    if "-" in paths:
        texts.append(SourceText("<stdin>", sys.stdin.buffer.read()))
    loaded = load(texts)
    findings = (*unreadable, *loaded.findings)
    snapshot: Snapshot | None = None
    if not errors_in(findings):
        compiled = compile_resources(loaded.resources)
        findings = (*findings, *attach(compiled.findings, loaded.places))
        snapshot = compiled.snapshot if not errors_in(findings) else None
    ordered = sorted(findings, key=lambda finding: (finding.file, finding.line))
    proxy = next((each for each in loaded.resources if isinstance(each, Proxy)), None)
    return Manifests(len(texts), len(loaded.resources), tuple(ordered), snapshot, proxy)
