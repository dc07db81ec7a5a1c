"""Short modules of short functions: sizes that good code in this field shares (h11, trio, linkerd)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.meta.project import python_files, relative

MODULE_LINES = 500
FUNCTION_LINES = 70
NINE_IN_TEN = 35


@pytest.mark.parametrize("path", python_files(), ids=relative)
def test_a_module_is_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MODULE_LINES


def _function_lengths(path: Path) -> dict[str, int]:
    tree = ast.parse(path.read_text())
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {f"{relative(path)}:{node.name}": (node.end_lineno or node.lineno) - node.lineno + 1 for node in functions}


def test_functions_are_short() -> None:
    lengths = {name: length for path in python_files() for name, length in _function_lengths(path).items()}
    assert {name: length for name, length in lengths.items() if length > FUNCTION_LINES} == {}
    assert sorted(lengths.values())[len(lengths) * 9 // 10] <= NINE_IN_TEN
