"""What the dashboard's files promise: small, safe, and of themselves."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from meshproxy.admin.pages import FOLDER, TYPES
from tests.meta.project import ROOT, relative

FILES = [path for path in sorted(FOLDER.rglob("*")) if path.is_file()]
SCRIPTS = [path for path in FILES if path.suffix == ".js"]
MOST = 100_000
"""Bytes of all files, compressed."""
MARKUP = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|new Function|srcdoc")
ELSEWHERE = re.compile(r"(?:https?:)?//(?!www\.w3\.org/2000/svg)[a-z]", re.IGNORECASE)
_IMPORT = re.compile(r'from "(\.[^"]+)"')


def test_all_of_it_is_small() -> None:
    assert sum(len(gzip.compress(path.read_bytes())) for path in FILES) < MOST


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_every_file_is_of_a_kind_that_is_served(path: Path) -> None:
    assert path.suffix in TYPES


@pytest.mark.parametrize("path", SCRIPTS, ids=relative)
def test_no_markup_is_made_of_text(path: Path) -> None:
    assert MARKUP.findall(path.read_text()) == []


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_nothing_comes_from_elsewhere(path: Path) -> None:
    code = re.sub(r"^\s*//.*$", "", path.read_text(), flags=re.MULTILINE)
    assert ELSEWHERE.findall(code) == []


@pytest.mark.parametrize("path", SCRIPTS, ids=relative)
def test_modules_are_short_and_their_imports_there(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    assert [name for name in _IMPORT.findall(text) if not (path.parent / name).exists()] == []


def test_the_page_has_no_script_or_style_of_its_own() -> None:
    page = (FOLDER / "index.html").read_text()
    assert re.findall(r"<style|\son\w+=|style=", page) == []
    assert re.findall(r"<script[^>]*>([^<]*)</script>", page) == [""]


def test_the_files_are_in_the_wheel() -> None:
    assert '"meshproxy.admin" = ["dashboard/**/*"]' in (ROOT / "pyproject.toml").read_text()
