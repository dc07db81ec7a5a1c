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


def _colours() -> list[dict[str, str]]:
    """The light ones, and the dark ones."""
    blocks = re.findall(
        r"(?m)^:root(?:\[data-theme=\"dark\"\])? \{(.*?)\}", (FOLDER / "style.css").read_text(), re.DOTALL
    )
    return [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block)) for block in blocks]


def _luminance(colour: str) -> float:
    parts = (int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read_on_what_it_lies_on(theme: int) -> None:
    """WCAG 2.1, 1.4.3: a contrast of 4.5 at least."""
    colours = _colours()[theme]
    grounds: dict[str, tuple[str, ...]] = {}
    grounds |= dict.fromkeys(("text", "soft", "bad", "warn", "good"), ("ground", "surface", "raised"))
    grounds |= {name: (*grounds[name], f"{name}-soft") for name in ("bad", "warn", "good")}
    grounds["accent"] = ("surface", "accent-soft")
    for name, below in grounds.items():
        for ground in below:
            low, high = sorted((_luminance(colours[name]), _luminance(colours[ground])))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (name, ground)


def test_the_files_are_in_the_wheel() -> None:
    assert '"meshproxy.admin" = ["dashboard/**/*"]' in (ROOT / "pyproject.toml").read_text()
