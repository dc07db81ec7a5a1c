"""YAML in, snapshot or findings out: a file a case, with its input, a rule, and what is expected.

``pytest tests/golden --update-golden`` writes what is, for reading by eye.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import yaml

from meshproxy.base.errors import errors_in
from meshproxy.compiler.compile import compile_resources
from meshproxy.loader.load import SourceText, load
from meshproxy.loader.places import attach
from meshproxy.snapshot.consistency import check_consistency
from meshproxy.snapshot.model import Snapshot

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))
RULE = "=" * 60 + "\n"


def outcome(text: str) -> str:
    """Findings, and the snapshot where none of them is an error, as YAML without defaults."""
    loaded = load([SourceText("case", text.encode())])
    findings, snapshot = loaded.findings, None
    if not errors_in(findings):
        compiled = compile_resources(loaded.resources, hostname="this-node")
        findings = (*findings, *attach(compiled.findings, loaded.places))
        snapshot = compiled.snapshot
    parts: list[str] = [str(finding) + "\n" for finding in findings]
    if snapshot is not None and not errors_in(findings):
        check_consistency(snapshot)
        parts.append(yaml.safe_dump(_essence(snapshot), sort_keys=False, width=120, default_flow_style=None))
    return "".join(parts)


def _essence(snapshot: Snapshot) -> dict[str, object]:
    """What a data plane executes; the views of it have tests of their own."""
    fields = msgspec.to_builtins(snapshot)
    names = ("listeners", "routeTables", "authorizations", "clusters", "assignments")
    essence = {name: fields[name] for name in names if name in fields}
    settings = snapshot.settings
    parts = {"identity": settings.identity, "dns": settings.dns, "tracing": settings.tracing, "otlp": settings.otlp}
    return {name: msgspec.to_builtins(part) for name, part in parts.items() if part is not None} | essence


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path, request: pytest.FixtureRequest) -> None:
    text, _, expected = path.read_text().partition(RULE)
    actual = outcome(text)
    if request.config.getoption("--update-golden"):
        path.write_text(text + RULE + actual)
    assert actual == expected or request.config.getoption("--update-golden")


def test_there_are_cases() -> None:
    assert len(CASES) >= 15
