"""pyproject.toml names what the package imports, all of it and nothing else."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

from tests.meta.project import ROOT


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def _normal(name: str) -> str:
    """PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_dependencies() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {_normal(re.split(r"[<>=!~; \[]", each)[0]) for each in project["dependencies"]}
    imported = {name for path in (ROOT / "meshproxy").rglob("*.py") for name in _imports(path)}
    foreign = imported - set(sys.stdlib_module_names) - {"meshproxy", "mypyc"}
    found = packages_distributions()
    providers = {name: {_normal(each) for each in found.get(name, ())} for name in foreign}
    assert {name: each for name, each in providers.items() if not each & declared} == {}
    assert declared <= set().union(*providers.values())
