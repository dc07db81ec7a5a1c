"""What the documents say is there, is there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from meshproxy.cli.get import ALIASES, KINDS
from meshproxy.cli.main import main
from tests.meta.project import ROOT, markdown_files, relative, shell_commands

_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")
_SPAN = re.compile(r"`(meshproxy [a-z][^`\n]*)`")
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_OPTION = re.compile(r"--[a-z][a-z-]*")
CHEAP = frozenset({"validate", "schema"})
"""Subcommands that are run as they are written; of the others, names and options are checked."""
RUN_ELSEWHERE = "docs/tutorial.md"
"""Its commands need its files: all of them are run by `tests/integration/test_tutorial.py`."""


def _commands() -> list[tuple[str, str]]:
    return [(relative(path), command) for path in markdown_files() for command in shell_commands(path)]


def _mentioned() -> list[tuple[str, str]]:
    """Commands within sentences and tables; of alternatives the first."""
    texts = ((relative(path), _FENCED.sub("", path.read_text())) for path in markdown_files())
    spans = ((document, span) for document, text in texts for span in _SPAN.findall(text))
    return sorted({(document, span.partition("\\|")[0].replace("…", "")) for document, span in spans})


def _subcommands() -> dict[str, click.Command]:
    assert isinstance(main, click.Group)
    context = click.Context(main)
    found = {name: main.get_command(context, name) for name in main.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None and not command.hidden}


MESHPROXY = [pair for pair in _commands() if re.match(r"(\.venv/bin/)?meshproxy ", pair[1])]
MAKE = [pair for pair in _commands() if pair[1].startswith("make ")]


@pytest.mark.parametrize(("document", "command"), MAKE)
def test_make_targets_exist(document: str, command: str) -> None:
    target = shlex.split(command)[1]
    assert re.search(rf"^{re.escape(target)}:", (ROOT / "Makefile").read_text(), re.MULTILINE), document


@pytest.mark.parametrize(("document", "command"), MESHPROXY)
def test_commands_exist_with_their_options(document: str, command: str) -> None:
    words = shlex.split(command.removesuffix("&"))[1:]
    if words[0].startswith("-"):
        return
    subcommand = _subcommands()[words[0]]
    if isinstance(subcommand, click.Group):
        subcommand = subcommand.commands[words[1]]
    known = {option for parameter in subcommand.params for option in parameter.opts} | {"--help"}
    used = set(_OPTION.findall(" ".join(words)))
    assert used <= known, f"{document}: {command}"


@pytest.mark.parametrize(("document", "command"), _mentioned())
def test_commands_that_are_mentioned_exist(document: str, command: str) -> None:
    words = shlex.split(command)[1:]
    subcommand = _subcommands()[words[0]]
    if isinstance(subcommand, click.Group) and len(words) > 1:
        subcommand = subcommand.commands[words[1]]
    known = {option for parameter in subcommand.params for option in parameter.opts}
    assert set(_OPTION.findall(command)) <= known, f"{document}: {command}"
    if words[0] == "get" and len(words) > 1:
        assert ALIASES.get(words[1], words[1]) in KINDS, f"{document}: {command}"


@pytest.mark.parametrize(
    ("document", "command"),
    [pair for pair in MESHPROXY if shlex.split(pair[1])[1] in CHEAP and pair[0] != RUN_ELSEWHERE],
)
def test_cheap_commands_run(document: str, command: str) -> None:
    words = shlex.split(command.partition(">")[0])[1:]
    done = subprocess.run(
        [sys.executable, "-m", "meshproxy", *words], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, f"{document}: {command}\n{done.stdout}{done.stderr}"


def test_the_readme_has_its_two_commands() -> None:
    assert {"make demo", "make test"} <= set(shell_commands(ROOT / "README.md"))


def test_every_subcommand_is_documented_and_no_other() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    assert set(re.findall(r"`meshproxy ([a-z]+)", text)) == set(_subcommands())


@pytest.mark.parametrize("path", markdown_files(), ids=relative)
def test_relative_links_lead_somewhere(path: Path) -> None:
    links = (link for link in _LINK.findall(path.read_text()) if "://" not in link)
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_document_and_example_is_reached_from_the_readme() -> None:
    linked = set(_LINK.findall((ROOT / "README.md").read_text()))
    documents = {relative(path) for path in (*ROOT.glob("docs/*.md"), *ROOT.glob("examples/*/README.md"))}
    assert documents <= linked
